//! What requests and messages ask of sagas: starts, outcomes, interventions, bulk actions, child commands.

pub mod bulk;
pub(crate) mod children;
pub mod interventions;
pub(crate) mod outcomes;
pub mod start;
pub mod start_error;

use snorri_core::{SagaId, State};
use snorri_ports::store::{self, Store};

async fn load_state(store: &dyn Store, saga: SagaId) -> Result<State, store::Error> {
    let journal = store.load(&[saga]).await?.take(saga)?;
    Ok(State::replay(saga, &journal))
}
