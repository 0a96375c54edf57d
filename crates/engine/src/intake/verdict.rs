//! The verdicts on messages that cannot be handled.

use snorri_ports::broker::Verdict;
use snorri_wire::envelope::Undecodable;

pub(crate) fn dead_letter(code: &'static str, reason: String) -> Verdict {
    Verdict::DeadLetter { code, reason }
}

pub(crate) fn undecodable_letter(Undecodable { code, reason }: Undecodable) -> Verdict {
    dead_letter(code, reason)
}
