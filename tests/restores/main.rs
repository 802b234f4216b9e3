//! Restores that must be refused, restores that resume, and restores of undamaged files.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "../support/fake_arc.rs"]
mod fake_arc;
#[path = "../support/faults/mod.rs"]
mod faults;
#[path = "../support/scene.rs"]
mod scene;
#[path = "../support/stores.rs"]
mod stores;
#[path = "../support/mod.rs"]
mod support;

mod compacting;
mod damaged;
mod instances;
mod new_instances;
mod part_limits;
mod parts;
mod places;
mod plans;
mod renames;
mod sql;
mod staged;
mod undo;

use std::process::ExitCode;

use compacting::*;
use damaged::*;
use faults::{by_name, faulty};
use instances::*;
use new_instances::*;
use part_limits::*;
use parts::*;
use places::*;
use plans::*;
use renames::*;
use scene::{leftovers, live, small};
use serde_json::{Value, json};
use sql::*;
use staged::*;
use stores::{Kind, Place, configure, contents, put, s3_server};
use support::{Instance, has_problem, named_like, text};
use undo::*;

fn main() -> ExitCode {
    let long = by_name![an_undo_that_was_killed_at_any_call_is_completed];
    let tests = by_name![
        a_backup_of_another_instance_is_not_restored_over_files_unasked,
        a_copied_arc_toml_does_not_make_two_instances_the_same,
        a_restore_shows_its_plan_first,
        a_plan_is_done_exactly_or_not_at_all,
        random_plans,
        a_restore_plans_again_after_compaction_and_so_does_an_undo,
        a_restore_of_arcs_own_backup_plans_again_too,
        a_named_plan_is_not_made_again,
        files_staged_for_the_first_plan_are_of_use_after_a_failed_second_one,
        restored_rows_are_those_of_the_source_by_sql,
        each_part_goes_to_each_place_under_each_name,
        a_storage_that_cannot_be_restored_to_is_refused,
        a_killed_restore_to_a_storage_is_completed,
        variables_set_the_keys_of_a_storage,
        a_backup_is_restored_into_a_folder,
        a_killed_restore_into_a_folder_is_completed,
        a_database_is_restored_under_another_name,
        names_that_cannot_be_are_refused,
        a_killed_renamed_restore_is_completed,
        a_name_of_the_cold_tier_is_taken,
        many_random_plans,
        an_arc_toml_that_names_other_places_is_restored_by_itself,
        undamaged_files_of_a_damaged_backup_are_restored_on_request,
        undamaged_files_are_restored_to_s3,
        staged_files_are_used_by_the_next_restore,
        objects_that_a_restore_wrote_to_s3_are_not_written_again,
        a_request_has_a_timeout_of_its_own,
        a_restore_is_taken_back_to_the_byte_and_so_is_the_undo,
        an_undo_that_was_killed_is_completed,
        a_file_that_appeared_during_a_restore_is_not_lost_by_its_undo,
        databases_of_one_file_name_are_taken_back_apart,
        an_undo_that_has_put_everything_back_is_completed_whatever_is_live_then,
        half_a_restore_is_taken_back,
        a_restore_over_whose_files_arc_has_written_is_not_taken_back,
        what_is_set_aside_is_listed_and_expires,
        a_restore_is_taken_back_over_rest,
        what_was_interrupted_is_not_brought_back_by_an_undo_of_its_undo,
        half_a_restore_whose_files_were_compacted_is_not_taken_back,
        what_arc_had_staged_itself_returns,
        a_repeated_request_for_an_undo_gets_the_same_answer,
        what_an_interrupted_run_set_aside_expires_with_it,
        an_undo_of_what_can_not_be_undone_says_why,
        a_part_comes_back_and_everything_else_stays,
        two_parts_after_each_other_are_both_at_once,
        the_file_of_a_day_is_not_restored_for_some_hours,
        the_file_of_a_day_does_not_hinder_hours_that_it_has_no_row_of,
        a_part_that_is_not_there_is_refused_with_its_name,
        one_hour_on_s3_reads_that_hour,
        many_files_on_s3_and_one_hour_of_them,
        an_interrupted_part_is_completed_by_a_restore_that_covers_it,
        a_part_is_verified_and_the_backup_does_not_count_as_such,
    ];
    faults::main_with_long(tests, long)
}

/// Runs a command that has to be refused with exit code 2, and to change nothing.
fn refused(instance: &Instance, arguments: &[&str], parts: &[&str]) {
    let before = live(instance);
    let output = instance.run(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
    }
    assert!(live(instance) == before, "{arguments:?}: live data changed");
}

/// Changes the live state, except for the token that the tests use.
fn change(instance: &Instance) {
    let root = instance.path("data/arc");
    std::fs::write(root.join(LARGE), b"rewritten").unwrap();
    std::fs::remove_file(root.join("iot/temperature/b.parquet")).unwrap();
    std::fs::write(root.join("iot/added.parquet"), b"added").unwrap();
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    let delete = "DELETE FROM api_tokens WHERE id > 1";
    connection.execute_batch(delete).unwrap();
}

fn restore_body(id: &str, fields: &Value) -> String {
    let mut body = json!({"backup_id": id, "confirm": true});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

const LARGE: &str = "metrics/large.parquet";

fn flip(path: &std::path::Path) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(modified).unwrap();
}

/// An instance with its data in S3, and a backup of it in the local target `far`.
fn in_s3(server: &arc_backup_test_s3::S3Server) -> (Instance, Place, String) {
    let instance = small();
    let data = stores::storage(Kind::S3, &instance, server, true);
    let far = Place::local(&instance, "data/far");
    configure(&instance, &data, &far);
    let id = instance.ok(&["backup", "--target", "far"]);
    (instance, data, id)
}
