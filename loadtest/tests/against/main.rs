//! The program against a real stock node, and against what is none.

mod cluster;
mod faults;
mod input;
mod interrupts;
mod scenarios;
mod support;
