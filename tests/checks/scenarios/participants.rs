//! The stubs of scenarios.

use super::*;

#[test]
fn reply_to_each_attempt_and_repeat_the_last_reply() {
    passes(
            "scenarios:
  - name: by attempt
    stubs: { van: [no_reply, { success: }], hand_over: [unroutable, { failure: broken }] }
    when: [{ signal: released }]
    expect: { commands: [pack x2, van x2, hand_over x2, compensate van, 'compensate pack[1]', 'compensate pack[0]'], problem: broken }
  - name: for one item
    stubs: { 'pack[1]': { failure: too_big } }
    expect: { commands: ['pack[0]', 'pack[1]', 'compensate pack[0]'], status: compensated }
",
        );
}

#[test]
fn have_the_stubs_of_the_file_unless_a_scenario_replaces_them() {
    passes(
        "stubs: { pack: { failure: no_box }, 'pack[1]': { failure: too_big } }
scenarios:
  - { name: shared, expect: { problem: no_box } }
  - { name: its own, stubs: { pack: success, van: { failure: x } }, expect: { problem: x } }
",
    );
}

#[test]
fn may_reply_too_late() {
    passes(
        "scenarios:
  - name: after the deadline, and the attempt after it
    stubs: { van: [{ success: , delay: 15s }, no_reply] }
    when: [{ signal: released }]
    expect: { status: completed, commands: [pack x2, van x2, hand_over], duration: 15s }
  - name: after the end
    stubs: { van: [{ success: , delay: 1h }, no_reply] }
    expect: { status: compensated, problem: timeout, duration: 20s..22s }
",
    );
}

#[test]
fn are_child_sagas_too() {
    passes(
        "scenarios:
  - name: refused
    input: &heavy { parcelId: p-1, boxes: [], weight: 30 }
    stubs: { insurance: { failure: too_heavy } }
    expect: { commands: [insurance: insurance], problem: too_heavy, status: compensated }
  - name: cancelled with its parent
    input: *heavy
    stubs: { insurance: no_reply }
    when: [{ after: insurance, delay: 1m, cancel: no hurry }]
    expect: { commands: [insurance], problem: cancelled, status: compensated, duration: 1m }
  - name: compensated with its parent
    input: *heavy
    stubs: { van: { failure: no_van } }
    expect: { commands: [insurance: { parcelId: p-1 }, van, compensate insurance] }
  - name: not to be compensated
    input: *heavy
    stubs: { van: { failure: no_van }, compensate insurance: { failure: claimed } }
    expect: { status: stuck, incident: { step: compensate insurance, code: claimed } }
",
    );
}
