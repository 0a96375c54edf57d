//! Migrations between two versions of a definition, in every state of a saga.

use snorri_verify::model_check::{Bounds, Migrations, Operator, Surroundings, check_migrations};

use super::{compiled, shipped};

const BOUNDS: Bounds =
    Bounds { states: 20_000, work: 4_000_000, attempts: 2, items: 2, operator: Operator::Absent };

const ORDER: &str = "\
saga: order
version: 1
timeout: 1h
defaults: { exchange: shop, timeout: 10s, retry: { attempts: 2, backoff: 1s } }
steps:
  - { name: reserve, command: stock.reserve, compensate: { command: stock.release } }
  - { name: score, command: fraud.score, compensate: none }
  - { name: coupon, command: coupon.take, optional: true, compensate: { command: coupon.return } }
  - parallel:
      - - { name: charge, command: bank.charge, compensate: { command: bank.refund } }
      - - { name: approve, wait: { signal: approved }, timeout: 30m }
  - { name: gift, command: gift.pack, when: '${ input.gift }', compensate: { command: gift.unpack } }
  - { name: ship, command: mail.ship, pivot: true }
  - { name: notify, command: mail.notify }
";

/// Changes between two versions: a name, the old text, and the new text.
const CHANGES: [(&str, &str, &str); 15] = [
    ("only the version", "saga: order", "saga: order"),
    (
        "a step added at the end",
        "  - { name: notify, command: mail.notify }\n",
        "  - { name: notify, command: mail.notify }\n  - { name: rate, command: mail.rate }\n",
    ),
    (
        "a step added at the beginning",
        "steps:\n",
        "steps:\n  - { name: look, command: stock.look, compensate: { command: stock.forget } }\n",
    ),
    (
        "a step added in the middle",
        "  - { name: coupon",
        "  - { name: check, command: address.check, compensate: { command: address.forget } }\n  - { name: coupon",
    ),
    (
        "a compensation added",
        "fraud.score, compensate: none",
        "fraud.score, compensate: { command: fraud.forget }",
    ),
    ("a compensation removed", "compensate: { command: stock.release }", "compensate: none"),
    ("a compensation changed", "stock.release", "stock.give_back"),
    ("a command changed", "bank.charge", "bank.take"),
    ("a timeout changed", "timeout: 10s", "timeout: 20s"),
    ("more attempts", "attempts: 2", "attempts: 1"),
    ("a step removed", "  - { name: notify, command: mail.notify }\n", ""),
    (
        "a step removed at the beginning",
        "  - { name: reserve, command: stock.reserve, compensate: { command: stock.release } }\n",
        "",
    ),
    ("a step that is no longer optional", "optional: true, ", ""),
    ("a condition added", "command: mail.notify }", "command: mail.notify, when: '${ input.known }' }"),
    ("a condition turned round", "${ input.gift }", "${ !input.gift }"),
];

fn migrate(old: &str, new: &str) -> Migrations {
    let (from, to) = (compiled(old), compiled(&new.replacen("version: 1", "version: 2", 1)));
    check_migrations(&from.definition, &to.definition, &Surroundings::default(), &BOUNDS)
}

fn check(what: &str, found: &Migrations) {
    let traces: Vec<_> = found
        .violations
        .iter()
        .map(|it| format!("{:?} {:?}\n{}", it.rule, it.step, it.trace.join("\n")))
        .collect();
    assert_eq!(traces, Vec::<String>::new(), "{what}");
    assert!(!found.is_cut, "{what}");
    assert_eq!(found.tried, found.accepted + found.refused.values().sum::<usize>(), "{what}");
}

#[test]
fn are_refused_or_lead_to_what_the_new_version_allows() {
    for (what, from, to) in CHANGES {
        assert!(ORDER.contains(from), "{what}");
        let found = migrate(ORDER, &ORDER.replace(from, to));
        check(what, &found);
    }
}

#[test]
fn to_the_same_definition_are_accepted_everywhere() {
    for own in shipped() {
        let source = &own.source;
        let found = migrate(source, source);
        check(&own.definition.name, &found);
        assert_eq!(found.accepted, found.tried, "{}", own.definition.name);
    }
}
