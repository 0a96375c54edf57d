//! The names of Snorri's own queues, and what must be declared for them.

use super::{Queue, Topology};

/// Used when nothing else is configured. Two installations on one virtual host need a prefix each.
pub const DEFAULT_PREFIX: &str = "snorri";

/// Snorri's own queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Takes messages that ask for a new saga.
    pub starts: String,
    /// Takes domain events that definitions listen for.
    pub events: String,
    /// Takes signals to sagas.
    pub signals: String,
    /// Takes participants' replies: the `reply_to` of every command.
    pub replies: String,
    /// Takes what cannot be handled, for people to look at. Snorri does not consume it.
    pub dead_letters: String,
    /// The topic exchange that tells what becomes of sagas.
    pub lifecycle: String,
}

impl Names {
    pub fn new(prefix: &str) -> Self {
        Self {
            starts: format!("{prefix}.starts"),
            events: format!("{prefix}.events"),
            signals: format!("{prefix}.signals"),
            replies: format!("{prefix}.replies"),
            dead_letters: format!("{prefix}.dead-letters"),
            lifecycle: format!("{prefix}.lifecycle"),
        }
    }
}

/// What must be there before Snorri can take starts and replies. Both are reached through the default exchange, so
/// that there is nothing to bind. The dead-letter queue is declared with them.
pub fn own_topology(prefix: &str) -> Topology {
    let names = Names::new(prefix);
    let queue = |name| Queue { name, bindings: Vec::new(), dead_letters: Some(names.dead_letters.clone()) };
    Topology {
        exchanges: Vec::new(),
        queues: vec![queue(names.starts.clone()), queue(names.replies.clone())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_are_named_after_the_prefix() {
        let topology = own_topology(DEFAULT_PREFIX);
        let names: Vec<&str> = topology.queues.iter().map(|queue| queue.name.as_str()).collect();
        assert_eq!(names, ["snorri.starts", "snorri.replies"]);
        assert!(topology.queues.iter().all(|q| q.dead_letters.as_deref() == Some("snorri.dead-letters")));
    }
}
