//! The stock node as people run it: the binary, its flags, its signals, its pages.

mod cluster;
mod config;
mod demo;
mod docs;
mod drain;
mod http;
mod pages;
mod process;
mod session;
mod tls;
