//! Draws a definition: its steps, its compensations, and its pivot.
//!
//! A definition is a tree of blocks, and so is its [`Graph`], which therefore needs no layout algorithm. It is written in three
//! formats: [`mermaid`], [`dot`] and [`svg`]. The module is pure.

mod build;
mod describe;
pub mod dot;
mod edges;
pub mod mermaid;
mod model;
pub mod svg;

pub use edges::{Edge, EdgeEnd, EdgePath, edges};
pub use model::{Branch, Compensation, Graph, Group, GroupKind, Node, Options, Part};

use snorri_core::Definition;

/// The direction of a text-based picture. The SVG always goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Down,
    Right,
}

impl Direction {
    /// The keyword in both Mermaid and DOT.
    fn letters(self) -> &'static str {
        match self {
            Self::Down => "TB",
            Self::Right => "LR",
        }
    }
}

/// Builds the graph of a definition.
pub fn graph(definition: &Definition, options: &Options) -> Graph {
    build::graph(definition, options)
}
