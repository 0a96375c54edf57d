//! The sessions of a database: opening them, checking what they can do, and closing those that cannot write.

pub(crate) mod connect;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod probe;
pub(crate) mod recycling;
pub(crate) mod settings;
pub(crate) mod switching;
