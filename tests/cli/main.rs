//! The command line: the real program, in a shell, with and without a server.

mod alone;
mod served;
mod terminal;
