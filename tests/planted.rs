//! Mistakes, planted in a copy of the source: `snorri check` of the definitions that ship must find each of the core's, and
//! the tests each of those in when and how often commands are sent.
//!
//! Each takes a build, so that `make planted` runs this, and `cargo test` alone does not. The faults of the engine are all in one
//! build, which a variable tells which of them is there: the simulation of the engine must find each.

#[path = "planted/copy.rs"]
mod copy;
#[path = "planted/engine.rs"]
mod engine;

use copy::Copy;

struct Mistake {
    what: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    /// What is told of it.
    code: &'static str,
}

const MISTAKES: [Mistake; 10] = [
    Mistake {
        what: "undo in forward order",
        file: "src/saga/walk.rs",
        right: "Block::Sequence(blocks) => blocks.iter().rev().all(|block| self.behind(block)),",
        wrong: "Block::Sequence(blocks) => blocks.iter().all(|block| self.behind(block)),",
        code: "E0607",
    },
    Mistake {
        what: "what is unknown is not undone",
        file: "src/saga/walk.rs",
        right: "Outcome::Failed(_) | Outcome::Omitted => true,",
        wrong: "Outcome::Failed(_) | Outcome::Omitted | Outcome::Unknown { .. } => true,",
        code: "E0603",
    },
    Mistake {
        what: "a late success is accepted while compensating",
        file: "src/saga/transition/replies.rs",
        right: "(None, ReplyResult::Success(output)) if contradicts(step, *direction) => self.late(path, output),",
        wrong: "(None, ReplyResult::Success(output)) if contradicts(step, *direction) => self.succeeded(path, *direction, output),",
        code: "E0608",
    },
    Mistake {
        what: "a refused undo counts as done",
        file: "src/saga/transition/replies.rs",
        right: "Direction::Compensate => self.hold(path, direction, problem.clone()),",
        wrong: "Direction::Compensate => self.succeeded(path, direction, &Arc::default()),",
        code: "E0603",
    },
    Mistake {
        what: "what is given up counts as refused",
        file: "src/saga/transition/replies.rs",
        right: "self.record(Fact::Unknown { step: path.clone(), problem });",
        wrong: "self.record(Fact::Failed { step: path.clone(), problem });",
        code: "E0609",
    },
    Mistake {
        what: "the steps of a list begin together",
        file: "src/saga/walk.rs",
        right: "Block::Sequence(blocks) => blocks.iter().all(|block| self.ahead(block)),",
        wrong: "Block::Sequence(blocks) => blocks.iter().fold(true, |done, block| self.ahead(block) && done),",
        code: "E0610",
    },
    Mistake {
        what: "an intervention is accepted although the saga is not stuck",
        file: "src/saga/transition/operator.rs",
        right: "_ => return Err(Ignored::NotStuck),",
        wrong: "_ => {}",
        code: "E0613",
    },
    Mistake {
        what: "a skipped step is forgotten",
        file: "src/saga/state.rs",
        right: "step.passed_over = true;",
        wrong: "step.passed_over = false;",
        code: "E0613",
    },
    Mistake {
        what: "a pause counts as time in which a command waits for a queue",
        file: "src/saga/step_state.rs",
        right: "self.forward.put_off(held);",
        wrong: "self.forward.put_off(Duration::ZERO);",
        code: "E0614",
    },
    Mistake {
        what: "a child is not cancelled with its parent after a pause",
        file: "src/saga/transition/steering.rs",
        right: "        self.tell_children();",
        wrong: "        if false { self.tell_children() }",
        code: "E0614",
    },
];

/// A mistake that is not in what the model check explores, and the tests that find it.
struct Fault {
    what: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    tests: &'static [&'static str],
}

const FAULTS: [Fault; 8] = [
    Fault {
        what: "a migration adds an undo after that of an earlier step",
        file: "src/saga/migration.rs",
        right: "        check.undoing();",
        wrong: "        if false { check.undoing() }",
        tests: &["--test", "proof", "migrations"],
    },
    Fault {
        what: "a command that was never sent times out",
        file: "src/saga/transition/mod.rs",
        right: "if is_unsent(&path, direction, self.last_attempt(&path, direction)) {",
        wrong: "if false && is_unsent(&path, direction, self.last_attempt(&path, direction)) {",
        tests: &["--test", "scripts"],
    },
    Fault {
        what: "a command goes forward although nobody awaits it",
        file: "src/saga/transition/replies.rs",
        right: "() if !is_awaited || turns_back => Err(Ignored::NotAwaited),",
        wrong: "() if !is_awaited && !turns_back => Err(Ignored::NotAwaited),",
        tests: &["--test", "scripts"],
    },
    Fault {
        what: "a command without a queue uses attempts",
        file: "src/saga/transition/advance.rs",
        right: "self.last_attempt(path, direction) + u32::from(!came_back)",
        wrong: "self.last_attempt(path, direction) + u32::from(!came_back || came_back)",
        tests: &["--test", "scripts"],
    },
    Fault {
        what: "a slow participant gets as much as a fast one",
        file: "src/engine/flow.rs",
        right: "self.allowed = in_time.min(self.allowed / 2.0).max(1.0);",
        wrong: "self.allowed = in_time.max(self.allowed);",
        tests: &["--lib", "engine::flow"],
    },
    Fault {
        what: "there is no bound on unanswered commands",
        file: "src/engine/flow.rs",
        right: "unanswered + 1.0 <= self.allowed && self.rests_until <= now",
        wrong: "unanswered >= 0.0 && self.rests_until <= now",
        tests: &["--lib", "engine::flow"],
    },
    Fault {
        what: "undos expire, and what goes forward does not",
        file: "src/engine/publisher.rs",
        right: "&& command.direction == Direction::Forward",
        wrong: "&& command.direction != Direction::Forward",
        tests: &["--test", "engine"],
    },
    Fault {
        what: "commands are sent to an exchange that routes by no key",
        file: "src/check/topology/exchange.rs",
        right: "&& matches!(exchange.kind, ExchangeKind::Fanout | ExchangeKind::Headers)",
        wrong: "&& matches!(exchange.kind, ExchangeKind::Headers)",
        tests: &["--lib", "check::topology"],
    },
];

#[test]
#[ignore = "builds the program once for each mistake: `make planted`"]
fn every_mistake_is_found_by_a_check_of_the_definitions_that_ship_or_by_the_tests() {
    let copy = Copy::new("planted");
    assert_eq!(copy.check("none"), Vec::<String>::new(), "the core as it is");
    for mistake in MISTAKES {
        let found = copy.with(mistake.file, mistake.right, mistake.wrong, || copy.check(mistake.what));
        println!("{}: {}", mistake.what, found.join(", "));
        let is_told = found.iter().any(|found| found.starts_with(mistake.code));
        assert!(is_told, "{}: not told as {}, but {found:?}", mistake.what, mistake.code);
    }
    for fault in FAULTS {
        let found = copy.with(fault.file, fault.right, fault.wrong, || copy.test(fault.tests));
        println!("{}: {found}", fault.what);
        assert!(found.contains("FAILED"), "{}: not found by {:?}: {found}", fault.what, fault.tests);
    }
}

/// How many seeds may pass before a fault of the engine is found.
const SEEDS: u32 = 1_000;

#[test]
#[ignore = "builds the program once more: `make planted`"]
fn every_fault_of_the_engine_is_found_by_its_simulation() {
    let copy = Copy::new("simulated");
    copy.add("src/lib.rs", "\npub mod planted;\n");
    copy.write("src/planted.rs", engine::MODULE);
    for fault in &engine::FAULTS {
        copy.replace(fault.file, fault.right, fault.wrong);
    }
    // With it, all seeds are run of each, and their number tells how easily it is found.
    let counted = std::env::var("SNORRI_PLANTED_SEEDS").ok();
    let count = counted.clone().unwrap_or_else(|| SEEDS.to_string());
    let report = if counted.is_some() { "count" } else { "first" };
    let simulate = |name: &str, seeds: &str| {
        copy.simulate(&[
            (engine::SWITCH, name),
            ("SNORRI_SIMULATION_SEEDS", seeds),
            ("SNORRI_SIMULATION_REPORT", report),
        ])
    };
    let sound = simulate("none", "20");
    assert!(sound.is_ok(), "without a fault: {sound:?}");
    let mut missed = Vec::new();
    for fault in &engine::FAULTS {
        let found = simulate(fault.name, &count);
        println!(
            "{}: {}: {}",
            fault.name,
            fault.what,
            found.as_ref().map_or_else(String::clone, String::clone)
        );
        if found.is_ok() {
            missed.push(fault.name);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
