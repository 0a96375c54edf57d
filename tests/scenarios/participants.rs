//! What participants answer, as scenarios say it.

use super::*;

#[test]
fn answer_each_attempt_and_the_last_answer_holds() {
    passes(
            "scenarios:
  - name: by attempt
    given: { van: [nothing, { success: }], hand_over: [unroutable, { failure: broken }] }
    when: [{ signal: released }]
    expect: { commands: [pack x2, van x2, hand_over x2, undo van, 'undo pack[1]', 'undo pack[0]'], problem: broken }
  - name: for one item
    given: { 'pack[1]': { failure: too_big } }
    expect: { commands: ['pack[0]', 'pack[1]', 'undo pack[0]'], status: compensated }
",
        );
}

#[test]
fn say_what_they_say_in_all_scenarios_but_those_that_say_otherwise() {
    passes(
        "given: { pack: { failure: no_box }, 'pack[1]': { failure: too_big } }
scenarios:
  - { name: shared, expect: { problem: no_box } }
  - { name: its own, given: { pack: success, van: { failure: x } }, expect: { problem: x } }
",
    );
}

#[test]
fn may_answer_too_late() {
    passes(
        "scenarios:
  - name: after the deadline, and the attempt after it
    given: { van: [{ success: , after: 15s }, nothing] }
    when: [{ signal: released }]
    expect: { status: completed, commands: [pack x2, van x2, hand_over], lasts: 15s }
  - name: after the end
    given: { van: [{ success: , after: 1h }, nothing] }
    expect: { status: compensated, problem: timeout, lasts: 20s..22s }
",
    );
}

#[test]
fn are_child_sagas_too() {
    passes(
        "scenarios:
  - name: refused
    input: &heavy { parcelId: p-1, boxes: [], weight: 30 }
    given: { insurance: { failure: too_heavy } }
    expect: { commands: [insurance: insurance], problem: too_heavy, status: compensated }
  - name: cancelled with its parent
    input: *heavy
    given: { insurance: nothing }
    when: [{ once: insurance, after: 1m, cancel: no hurry }]
    expect: { commands: [insurance], problem: cancelled, status: compensated, lasts: 1m }
  - name: undone with its parent
    input: *heavy
    given: { van: { failure: no_van } }
    expect: { commands: [insurance: { parcelId: p-1 }, van, undo insurance] }
  - name: not to be undone
    input: *heavy
    given: { van: { failure: no_van }, undo insurance: { failure: claimed } }
    expect: { status: stuck, incident: { step: undo insurance, code: claimed } }
",
    );
}
