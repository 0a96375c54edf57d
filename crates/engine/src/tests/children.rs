//! Children: the results of child sagas.

use super::*;
use crate::operations::children::Children;
use snorri_core::input::{Attempt, ReplyResult};
use snorri_core::message::ChildResult;
use snorri_core::{Direction, StepPath};

async fn report(answer: Answer) -> (bool, Vec<(SagaId, Input)>) {
    let lane = ScriptedLane::new([answer]);
    let starter = Arc::new(super::starter::starter(&lane, 10).await);
    let children = Children { starter, submitter: lane.submitter.clone() };
    let attempt = Attempt { step: StepPath::new("pay"), direction: Direction::Forward, number: 1 };
    let result = ReplyResult::Success(Arc::default());
    let report = ChildResult {
        parent: SagaId::of_key("order", "o-1"),
        child: SagaId::of_key("payment", "p-1"),
        attempt,
        result,
    };
    (children.report(&report).await, lane.taken())
}

#[tokio::test]
async fn the_result_of_a_child_is_a_reply_to_its_parent() {
    let (is_done, taken) = report(ACCEPTED).await;
    assert!(is_done);
    assert!(
        matches!(&taken[..], [(saga, Input::Reply(_))] if *saga == SagaId::of_key("order", "o-1")),
        "{taken:?}"
    );
}

#[tokio::test]
async fn a_result_is_reported_until_its_parent_has_decided_about_it() {
    assert!(report(Err(SubmitError::Rejected(Rejection::Duplicate))).await.0);
    for undecided in [
        SubmitError::Unavailable("away".to_owned()),
        SubmitError::Unreadable("corrupt".to_owned()),
        SubmitError::Invalid("too large".to_owned()),
        SubmitError::Stopping,
    ] {
        assert!(!report(Err(undecided.clone())).await.0, "{undecided:?}");
    }
}
