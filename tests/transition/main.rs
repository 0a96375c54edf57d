//! The transition function: scripts of inputs with their consequences, and every intervention in every state.

mod interventions;
mod scripts;
