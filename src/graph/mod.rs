//! A definition as a picture: the way forward, the way back, and where there is no way back any more.
//!
//! A definition is a tree of blocks, and so is its [`Graph`]: nothing has to be found out by a layout algorithm. Three writers
//! make a text of it: [`mermaid`], [`dot`] and [`svg`]. All of it is pure.

mod build;
mod describe;
pub mod dot;
mod edges;
pub mod mermaid;
mod model;
pub mod svg;

pub use edges::{Edge, End, Way, edges};
pub use model::{Branch, Graph, Group, GroupKind, Node, Options, Part, Undo};

use crate::saga::Definition;

/// Where a text-based picture grows to. The SVG always goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Down,
    Right,
}

impl Direction {
    /// As both Mermaid and DOT have it.
    fn letters(self) -> &'static str {
        match self {
            Self::Down => "TB",
            Self::Right => "LR",
        }
    }
}

/// What is to be seen of a definition.
pub fn graph(definition: &Definition, options: &Options) -> Graph {
    build::graph(definition, options)
}
