//! The limits of the requests of a route.

/// The limits of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Whether the response has a time limit.
    pub timed: bool,
    /// The maximum size of the body. `None`: the body is streamed, with any length.
    pub body: Option<usize>,
}
