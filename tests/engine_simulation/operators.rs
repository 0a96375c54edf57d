//! Operators that interfere with sagas, and resolve stuck ones.

use std::time::Duration;

use futures_util::FutureExt;
use snorri_core::input::Intervention;
use snorri_core::journal::By;
use snorri_core::{Input, SagaId, Status};
use snorri_engine::{AuditContext, Engine, SubmitError, SubmitOptions};
use snorri_ports::store::{Filter, Store};
use tokio::time::sleep;

use crate::clients::Clients;

impl Clients {
    /// Occasionally intervenes in a saga.
    pub async fn interfere(&self) {
        for number in 0.. {
            let mut rng = self.world.fate.rng(&format!("operator {number}"));
            sleep(Duration::from_millis(rng.u64(200..1_500))).await;
            if self.world.fate.is_calm() {
                return;
            }
            let key = format!("operator acts {number}");
            if let Some(mut rng) = self.world.fate.strikes(&key, self.world.fate.climate().operators) {
                self.act(&mut rng).await;
            }
        }
    }

    async fn act(&self, rng: &mut fastrand::Rng) {
        let sagas = self.sagas();
        if sagas.is_empty() {
            return;
        }
        let saga = sagas[rng.usize(..sagas.len())];
        let state = self.world.watch.state(saga);
        let by = by();
        let input = match state.status() {
            Status::Stuck => help(rng.u32(..5)),
            _ if state.paused.is_some() => Input::Resume(by),
            _ if rng.u32(..3) == 0 => Input::Cancel(by),
            _ => Input::Pause(by),
        };
        // The state may be out of date by the time of the intervention.
        let looked_at = if rng.u32(..4) == 0 { state.seq.saturating_sub(1) } else { state.seq };
        sleep(Duration::from_millis(rng.u64(..30))).await;
        let Some((engine, process)) = self.any(rng) else { return };
        let before = self.world.watch.state(saga).seq;
        let acted = tokio::select! {
            biased;
            () = process.died() => return,
            acted = ask(&engine, saga, input.clone(), Some(looked_at)) => acted,
        };
        let name = self.world.story.name_of(saga);
        self.world
            .story
            .record(|| format!("operator asks {} for {}: {acted:?}", process.name(), kind(&input)));
        if let Ok(seq) = acted
            && self.world.watch.state(saga).seq < seq
        {
            self.world
                .watch
                .violation(|| format!("an operator changed {name} at entry {seq}, which is not stored"));
        }
        if let Ok(seq) = acted
            && (looked_at < before || seq != looked_at + 1)
        {
            self.world.watch.violation(|| {
                format!("an operator who saw entry {looked_at} of {name} changed it at entry {seq}, after {before}")
            });
        }
    }

    /// Resumes paused sagas and resolves stuck ones, so that everything can end.
    pub async fn look_after(&self) {
        for saga in self.sagas() {
            let state = self.world.watch.state(saga);
            let mut rng = self.world.fate.rng(&format!("looks after {saga} at {}", state.seq));
            let input = match state.status() {
                _ if state.paused.is_some() => Input::Resume(by()),
                Status::Stuck => help(if state.seq > 60 { 4 } else { rng.u32(..2) }),
                _ => continue,
            };
            let Some((engine, process)) = self.any(&mut rng) else { continue };
            let acted = tokio::select! {
                biased;
                // A dead process does not answer.
                () = process.died() => continue,
                acted = ask(&engine, saga, input.clone(), None) => acted,
            };
            let name = self.world.story.name_of(saga);
            self.world.story.record(|| format!("operator looks after {name}, {}: {acted:?}", kind(&input)));
        }
    }

    fn sagas(&self) -> Vec<SagaId> {
        let rows = self.world.store.sagas(&Filter::default(), 1_000).now_or_never().expect("in memory");
        let rows = rows.expect("sagas").into_iter().filter(|row| !row.status.is_final());
        let mut ids: Vec<SagaId> = rows.map(|row| row.id).collect();
        ids.sort_unstable();
        ids
    }
}

fn by() -> By {
    By { actor: "ann".to_owned(), reason: "simulated".to_owned() }
}

fn help(choice: u32) -> Input {
    let action = match choice {
        0 | 1 => Intervention::Retry { step: None },
        2 => Intervention::Rollback,
        3 => Intervention::Skip { step: None },
        _ => Intervention::Abandon,
    };
    Input::Intervene { action, by: by() }
}

fn kind(input: &Input) -> &'static str {
    match input {
        Input::Intervene { action, .. } => action.kind().as_str(),
        Input::Cancel(_) => "cancel",
        Input::Pause(_) => "pause",
        Input::Resume(_) => "resume",
        _ => "something else",
    }
}

/// Asks for an intervention, and returns the journal entry that it led to.
async fn ask(engine: &Engine, saga: SagaId, input: Input, expected: Option<u32>) -> Result<u32, SubmitError> {
    let audit = Some(AuditContext { action: kind(&input), step: None, by: by() });
    let options = SubmitOptions { expected, audit, ..SubmitOptions::of_request() };
    engine.submitter.submit_on(options, saga, input).await.map(|accepted| accepted.seq)
}
