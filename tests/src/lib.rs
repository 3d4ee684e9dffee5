//! What the end-to-end and crash suites stand on: panels that keep state, judge their clients and break on demand.
//!
//! A fake panel is written from the panel's contract alone and shares no type with the plugin that it judges, so a
//! misreading has to be made twice before it can hide.

#![recursion_limit = "256"]

pub mod apiscp;
pub mod clock;
pub mod cluster;
pub mod crash_host;
pub mod dcimanager;
pub mod document;
pub mod harness;
pub mod outside;
pub mod panel;
pub mod program;
pub mod rootpanel;
pub mod solidcp;
pub mod virtfusion;
