//! Conversions of sagas and records to what the API returns.

pub(in crate::http) mod convert;
pub(in crate::http) mod convert_records;
