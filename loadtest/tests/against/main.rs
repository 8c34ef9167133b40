//! The program against a real stock node, and against what is none.

mod faults;
mod input;
mod scenarios;
mod support;
