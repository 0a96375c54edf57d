//! The windows of destinations, command by command.

use uuid::Uuid;

use super::*;
use snorri_core::{Direction, StepPath};
use snorri_ports::store::{MessageRef, OutboxId};

const PATIENCE: i64 = 2_000;

fn command(saga: u128, id: u128, now: Time) -> OutboxMessage {
    let saga = SagaId(Uuid::from_u128(saga));
    let message = Message::Command(Command {
        saga,
        definition: "order".into(),
        step: StepPath::at("pay", &[u32::try_from(id).expect("small")]),
        direction: Direction::Forward,
        attempt: 1,
        exchange: "shop".into(),
        name: "pay".into(),
        deadline: Time(now.0 + PATIENCE),
        trace_id: None,
        sent_at: now,
        payload: serde_json::value::to_raw_value(&()).expect("JSON"),
    });
    let index = u32::try_from(id).expect("small");
    let place = Place { row: OutboxId(Uuid::from_u128(id)), message: MessageRef { saga, seq: 1, index } };
    OutboxMessage { place, message: Arc::new(message) }
}

fn key(saga: u128, id: u128) -> CommandKey {
    (
        SagaId(Uuid::from_u128(saga)),
        StepPath::at("pay", &[u32::try_from(id).expect("small")]),
        Direction::Forward,
    )
}

fn ids(messages: &[OutboxMessage]) -> Vec<OutboxId> {
    messages.iter().map(|unsent| unsent.place.row).collect()
}

fn at(id: u128) -> OutboxId {
    OutboxId(Uuid::from_u128(id))
}

fn conclude(flow: &mut Flow, ids: std::ops::Range<u128>, conclusion: Conclusion, now: Time) {
    for id in ids {
        flow.conclude(&key(id, id), conclusion, now);
    }
}

const LATER: Time = Time(i64::MAX);

#[test]
fn what_is_beyond_the_limit_waits_and_sagas_take_turns() {
    let mut flow = Flow::new(2);
    let now = Time(0);
    let all = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 5)].map(|(saga, id)| command(saga, id, now));
    assert_eq!(ids(&flow.admit(all.to_vec(), now, LATER)), [at(1), at(2)]);
    assert!(flow.take_ready(now).is_empty());
    assert!(flow.conclude(&key(1, 1), Conclusion::Answered, now));
    assert!(flow.conclude(&key(1, 2), Conclusion::Answered, now));
    assert_eq!(ids(&flow.take_ready(now)), [at(3), at(5)], "not all of one saga first");
    assert!(!flow.conclude(&key(9, 9), Conclusion::Answered, now), "of another process");
}

#[test]
fn what_is_sent_again_has_its_place_and_is_kept_once() {
    let mut flow = Flow::new(1);
    let now = Time(0);
    assert_eq!(flow.admit(vec![command(1, 1, now)], now, LATER).len(), 1);
    assert_eq!(flow.admit(vec![command(1, 1, now)], now, LATER).len(), 1, "sent again");
    for _ in 0..2 {
        assert!(flow.admit(vec![command(2, 2, now)], now, Time(5_000)).is_empty());
    }
    flow.conclude(&key(1, 1), Conclusion::Answered, now);
    assert_eq!(ids(&flow.take_ready(now)), [at(2)]);
    assert!(!flow.is_waiting());
    assert!(flow.admit(vec![command(3, 3, now)], now, Time(5_000)).is_empty());
    flow.conclude(&key(2, 2), Conclusion::Answered, now);
    assert!(flow.take_ready(Time(6_000)).is_empty(), "its row is not ours any more");
    assert_eq!(flow.take_impatient(Time(6_000)), [command(3, 3, now).place]);
}

#[test]
fn commands_leave_before_their_reservation_expires() {
    let mut flow = Flow::new(1);
    let now = Time(0);
    flow.admit(vec![command(1, 1, now)], now, LATER);
    let waiting = [command(2, 2, now), command(3, 3, now), command(2, 4, now)];
    flow.admit(waiting[..2].to_vec(), now, Time(5_000));
    flow.admit(waiting[2..].to_vec(), now, Time(6_000));
    assert_eq!(flow.take_impatient(Time(4_999)), []);
    assert_eq!(flow.take_impatient(Time(5_000)), [waiting[0].place, waiting[1].place]);
    assert_eq!(flow.take_impatient(Time(5_000)), [], "once");
    flow.conclude(&key(1, 1), Conclusion::Answered, Time(5_000));
    assert_eq!(ids(&flow.take_ready(Time(5_000))), [at(4)]);
    assert!(!flow.is_waiting());
}

#[test]
fn of_a_command_that_waits_twice_the_newer_row_counts() {
    let mut flow = Flow::new(1);
    let now = Time(0);
    flow.admit(vec![command(1, 1, now)], now, LATER);
    let old = command(2, 2, now);
    let new = OutboxMessage { place: Place { row: at(9), ..old.place }, ..old.clone() };
    flow.admit(vec![old], now, Time(5_000));
    flow.admit(vec![new], Time(4_000), Time(9_000));
    assert_eq!(flow.take_impatient(Time(5_000)), []);
    flow.conclude(&key(1, 1), Conclusion::Answered, Time(5_000));
    assert_eq!(ids(&flow.take_ready(Time(5_000))), [at(9)]);
}

#[test]
fn a_window_shrinks_to_what_is_answered_in_time_and_grows_with_the_replies() {
    let mut flow = Flow::new(1_000);
    let now = Time(0);
    let all = (0..1_000).map(|id| command(id, id, now)).collect();
    assert_eq!(flow.admit(all, now, LATER).len(), 1_000);
    // 100 are answered within two seconds, 900 time out.
    conclude(&mut flow, 0..100, Conclusion::Answered, Time(1_000));
    conclude(&mut flow, 100..1_000, Conclusion::TimedOut, Time(PATIENCE));
    let again = (1_000..2_000).map(|id| command(id, id, now)).collect();
    let first = flow.admit(again, Time(PATIENCE), LATER).len();
    assert_eq!(first, 80, "what a participant of 50 a second answers in 2 s, and room to spare");
    conclude(&mut flow, 1_000..1_080, Conclusion::Answered, Time(3_000));
    let second = flow.take_ready(Time(3_000)).len();
    assert!((82..=90).contains(&second), "{second}");
}

#[test]
fn a_participant_that_answers_nothing_is_away_and_not_slow() {
    let mut flow = Flow::new(10);
    let now = Time(0);
    flow.admit((0..10).map(|id| command(id, id, now)).collect(), now, LATER);
    conclude(&mut flow, 0..10, Conclusion::TimedOut, Time(PATIENCE));
    let again = (10..20).map(|id| command(id, id, now)).collect();
    assert_eq!(flow.admit(again, Time(PATIENCE), LATER).len(), 10);
}

#[test]
fn a_destination_that_takes_nothing_rests_longer_each_time() {
    let mut flow = Flow::new(10);
    let now = Time(0);
    let sent = flow.admit(vec![command(1, 1, now)], now, LATER);
    flow.refuse(sent[0].clone(), now, LATER);
    assert!(flow.take_ready(Time(249)).is_empty());
    let sent = flow.take_ready(Time(250));
    assert_eq!(ids(&sent), [at(1)]);
    flow.refuse(sent[0].clone(), Time(250), LATER);
    assert!(flow.take_ready(Time(749)).is_empty());
    let sent = flow.take_ready(Time(750));
    assert_eq!(sent.len(), 1);
    flow.taken(&[Arc::clone(&sent[0].message)]);
    flow.refuse(sent[0].clone(), Time(1_000), LATER);
    assert_eq!(flow.take_ready(Time(1_250)).len(), 1, "the rest is short again after a success");
}

#[test]
fn what_another_process_heard_of_gives_its_place_back() {
    let mut flow = Flow::new(1);
    let now = Time(0);
    flow.admit(vec![command(1, 1, now), command(2, 2, now)], now, LATER);
    assert_eq!(flow.in_the_way(10), [key(1, 1)]);
    flow.forget_overdue(Time(PATIENCE - 1));
    assert!(flow.take_ready(Time(PATIENCE - 1)).is_empty());
    flow.forget_overdue(Time(PATIENCE));
    assert_eq!(ids(&flow.take_ready(Time(PATIENCE))), [at(2)]);
}
