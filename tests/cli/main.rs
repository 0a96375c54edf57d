//! The command line: the real program in a shell, with and without a server.

mod alone;
mod offline;
mod proxies;
mod served;
mod terminal;
