//! The rules of the house: what may depend on what, the size of files and folders, and the words.

mod architecture;
mod words;
