//! The icons of the cards, each in a square of 16.

use snorri_core::definition::StepKind;

/// The colour class and the icon of a kind of step.
pub(super) fn of(kind: StepKind) -> (&'static str, &'static str) {
    match kind {
        StepKind::Wait => ("sg-time", "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11zM8 5v3.2l2.2 1.6"),
        StepKind::Sleep => ("sg-time", "M13 9.6A5.6 5.6 0 1 1 6.4 3a4.6 4.6 0 0 0 6.6 6.6z"),
        StepKind::Saga => ("sg-accent", "M2.5 5.5h8v8h-8zM5.5 5.5v-3h8v8h-3"),
        StepKind::Publish => (
            "sg-calm",
            "M8 7.9v.2M5.4 10.6a3.7 3.7 0 0 1 0-5.2M10.6 5.4a3.7 3.7 0 0 1 0 5.2M3.2 12.8a6.8 6.8 0 0 1 0-9.6M12.8 3.2a6.8 6.8 0 0 1 0 9.6",
        ),
        StepKind::Fail => {
            ("sg-bad", "M5.6 2.5h4.8l3.1 3.1v4.8l-3.1 3.1H5.6l-3.1-3.1V5.6zM6.2 6.2l3.6 3.6M9.8 6.2l-3.6 3.6")
        }
        StepKind::Command | StepKind::Choice | StepKind::ForEach => {
            ("sg-accent", "M2.5 8h10.2M9 4.2L12.8 8L9 11.8")
        }
    }
}

pub(super) const COMPENSATION: &str = "M6 3.2L2.8 6.4L6 9.6M3.2 6.4h6.2a3.5 3.5 0 0 1 0 7H6.4";
pub(super) const PARALLEL: &str = "M4.5 2.5v11M11.5 2.5v11";
pub(super) const CHOICE: &str = "M8 2l6 6l-6 6l-6-6z";
pub(super) const REPEAT: &str = "M3 7.2a4 4 0 0 1 4-3.7h5.4M10.4 1.4l2.2 2.1l-2.2 2.1M13 8.8a4 4 0 0 1-4 3.7H3.6M5.6 14.6l-2.2-2.1l2.2-2.1";
pub(super) const PIVOT: &str = "M4.5 7.5h7v6h-7zM5.8 7.5V5.4a2.2 2.2 0 0 1 4.4 0v2.1";
