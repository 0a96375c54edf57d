//! The process: how it starts and stops, several of them, their disk and their load on the database.

mod full_disk;
mod replicas;
mod shutdown;
mod startup;
mod waiting;
