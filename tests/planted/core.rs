//! Faults that the check of the shipped definitions finds, and faults in when and how often commands are sent, which tests
//! find.

use crate::fault::Fault;

/// Each with the code of its finding.
pub const CHECKED: [(Fault, &str); 10] = [
    (
        Fault {
            name: "compensation_in_forward_order",
            what: "compensate in forward order",
            file: "crates/core/src/walk.rs",
            right: "Block::Sequence(blocks) => blocks.iter().rev().all(|block| self.behind(block)),",
            wrong: r#"Block::Sequence(blocks) if crate::planted::is("compensation_in_forward_order") => blocks.iter().all(|block| self.behind(block)),
Block::Sequence(blocks) => blocks.iter().rev().all(|block| self.behind(block)),"#,
        },
        "E0607",
    ),
    (
        Fault {
            name: "unknown_is_not_compensated",
            what: "what is unknown is not compensated",
            file: "crates/core/src/walk.rs",
            right: "StepOutcome::Failed(_) | StepOutcome::Skipped => true,",
            wrong: r#"StepOutcome::Unknown { .. } if crate::planted::is("unknown_is_not_compensated") => true,
            StepOutcome::Failed(_) | StepOutcome::Skipped => true,"#,
        },
        "E0603",
    ),
    (
        Fault {
            name: "late_success_accepted",
            what: "a late success is accepted while compensating",
            file: "crates/core/src/transition/replies.rs",
            right: "(None, ReplyResult::Success(output)) if contradicts(step, *direction) => self.late(path, output),",
            wrong: r#"(None, ReplyResult::Success(output)) if contradicts(step, *direction) && crate::planted::is("late_success_accepted") => self.succeeded(path, *direction, output),
(None, ReplyResult::Success(output)) if contradicts(step, *direction) => self.late(path, output),"#,
        },
        "E0608",
    ),
    (
        Fault {
            name: "refused_compensation_is_done",
            what: "a refused compensation counts as done",
            file: "crates/core/src/transition/replies.rs",
            right: "Direction::Compensate => self.hold(path, direction, problem.clone()),",
            wrong: r#"Direction::Compensate if crate::planted::is("refused_compensation_is_done") => self.succeeded(path, direction, &Arc::default()),
Direction::Compensate => self.hold(path, direction, problem.clone()),"#,
        },
        "E0603",
    ),
    (
        Fault {
            name: "given_up_is_refused",
            what: "what is given up counts as refused",
            file: "crates/core/src/transition/replies.rs",
            right: "self.record(Fact::Unknown { step: path.clone(), problem });",
            wrong: r#"if crate::planted::is("given_up_is_refused") {
            return self.record(Fact::Failed { step: path.clone(), problem });
        }
        self.record(Fact::Unknown { step: path.clone(), problem });"#,
        },
        "E0609",
    ),
    (
        Fault {
            name: "steps_begin_together",
            what: "the steps of a list begin together",
            file: "crates/core/src/walk.rs",
            right: "Block::Sequence(blocks) => blocks.iter().all(|block| self.ahead(block)),",
            wrong: r#"Block::Sequence(blocks) if crate::planted::is("steps_begin_together") => blocks.iter().fold(true, |done, block| self.ahead(block) && done),
Block::Sequence(blocks) => blocks.iter().all(|block| self.ahead(block)),"#,
        },
        "E0610",
    ),
    (
        Fault {
            name: "unstuck_is_accepted",
            what: "an intervention is accepted although the saga is not stuck",
            file: "crates/core/src/transition/operator.rs",
            right: "_ => return Err(Rejection::NotStuck),",
            wrong: r#"_ if crate::planted::is("unstuck_is_accepted") => {}
            _ => return Err(Rejection::NotStuck),"#,
        },
        "E0613",
    ),
    (
        Fault {
            name: "skip_is_forgotten",
            what: "a skipped step is forgotten",
            file: "crates/core/src/state.rs",
            right: "step.skipped_by_operator = true;",
            wrong: r#"step.skipped_by_operator = !crate::planted::is("skip_is_forgotten");"#,
        },
        "E0613",
    ),
    (
        Fault {
            name: "pause_counts_without_route",
            what: "a pause counts as time in which a command waits for a queue",
            file: "crates/core/src/state/step.rs",
            right: "self.forward.put_off(held);",
            wrong: r#"if !crate::planted::is("pause_counts_without_route") {
            self.forward.put_off(held);
        }"#,
        },
        "E0614",
    ),
    (
        Fault {
            name: "child_not_cancelled_after_pause",
            what: "a child is not cancelled with its parent after a pause",
            file: "crates/core/src/transition/steering.rs",
            right: "        self.command_children();",
            wrong: r#"        if !crate::planted::is("child_not_cancelled_after_pause") {
            self.command_children();
        }"#,
        },
        "E0614",
    ),
];

/// Each with the tests that find it.
pub const TESTED: [(Fault, &[&str]); 8] = [
    (
        Fault {
            name: "unsent_times_out",
            what: "a command that was never sent times out",
            file: "crates/core/src/transition/mod.rs",
            right: "if is_unsent(&path, direction, self.last_attempt(&path, direction)) {",
            wrong: r#"if !crate::planted::is("unsent_times_out") && is_unsent(&path, direction, self.last_attempt(&path, direction)) {"#,
        },
        &["--test", "transition", "scripts"],
    ),
    (
        Fault {
            name: "unawaited_goes_forward",
            what: "a command goes forward although it is not awaited",
            file: "crates/core/src/transition/replies.rs",
            right: "() if !is_awaited || turns_back => Err(Rejection::NotAwaited),",
            wrong: r#"() if crate::planted::is("unawaited_goes_forward") && !is_awaited && turns_back => Err(Rejection::NotAwaited),
            () if !crate::planted::is("unawaited_goes_forward") && (!is_awaited || turns_back) => Err(Rejection::NotAwaited),"#,
        },
        &["--test", "transition", "scripts"],
    ),
    (
        Fault {
            name: "no_route_uses_attempts",
            what: "a command without a queue uses attempts",
            file: "crates/core/src/transition/advance.rs",
            right: "self.last_attempt(path, direction) + u32::from(!came_back)",
            wrong: r#"self.last_attempt(path, direction) + u32::from(!came_back || crate::planted::is("no_route_uses_attempts"))"#,
        },
        &["--test", "transition", "scripts"],
    ),
    (
        Fault {
            name: "slow_gets_as_much",
            what: "a slow participant gets as much as a fast one",
            file: "crates/engine/src/outbox/flow.rs",
            right: "self.allowed = in_time.min(self.allowed / 2.0).max(1.0);",
            wrong: r#"self.allowed = if snorri_core::planted::is("slow_gets_as_much") {
                in_time.max(self.allowed)
            } else {
                in_time.min(self.allowed / 2.0).max(1.0)
            };"#,
        },
        &["-p", "snorri-engine", "--lib", "outbox::flow"],
    ),
    (
        Fault {
            name: "no_bound_on_unanswered",
            what: "there is no bound on unanswered commands",
            file: "crates/engine/src/outbox/flow.rs",
            right: "unanswered + 1.0 <= self.allowed && self.rests_until <= now",
            wrong: r#"(snorri_core::planted::is("no_bound_on_unanswered") || unanswered + 1.0 <= self.allowed) && self.rests_until <= now"#,
        },
        &["-p", "snorri-engine", "--lib", "outbox::flow"],
    ),
    (
        Fault {
            name: "compensations_expire",
            what: "compensations expire, and what goes forward does not",
            file: "crates/engine/src/outbox/publisher.rs",
            right: "if command.direction == Direction::Forward {",
            wrong: r#"if (command.direction == Direction::Forward) != snorri_core::planted::is("compensations_expire") {"#,
        },
        &["--test", "engine"],
    ),
    (
        Fault {
            name: "exchange_without_keys",
            what: "commands are sent to an exchange that routes by no key",
            file: "crates/verify/src/check/topology/exchange.rs",
            right: "&& matches!(exchange.kind, ExchangeKind::Fanout | ExchangeKind::Headers)",
            wrong: r#"&& !(snorri_core::planted::is("exchange_without_keys") && exchange.kind == ExchangeKind::Fanout)
            && matches!(exchange.kind, ExchangeKind::Fanout | ExchangeKind::Headers)"#,
        },
        &["-p", "snorri-verify", "--lib", "check::topology"],
    ),
    (
        Fault {
            name: "compensation_added_too_late",
            what: "a migration adds a compensation after that of an earlier step",
            file: "crates/core/src/migration.rs",
            right: "        check.undoing();",
            wrong: r#"        if !crate::planted::is("compensation_added_too_late") {
            check.undoing();
        }"#,
        },
        &["--test", "checks", "model_check::migrations"],
    ),
];
