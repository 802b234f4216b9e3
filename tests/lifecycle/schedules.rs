//! Schedules under a controlled clock.
