//! Schedules under a controlled clock, with the real engine; and their configuration, command line
//! and REST.

#[path = "schedules/configuration.rs"]
mod configuration;
#[path = "schedules/endings.rs"]
mod endings;
#[path = "schedules/interfaces.rs"]
mod interfaces;
#[path = "schedules/recipes.rs"]
mod recipes;
#[path = "schedules/runs.rs"]
mod runs;
#[path = "schedules/targets.rs"]
mod targets;
#[path = "schedules/world.rs"]
mod world;
