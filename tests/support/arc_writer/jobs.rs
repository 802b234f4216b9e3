//! Compaction as Arc does it, and Arc's cleanup of interrupted jobs at its start.

use arc_backup_core::{GetOptions, Key, ListOptions, Listed};
use futures::StreamExt;
use serde_json::{Value, json};

use super::files::{HOURS, Unit, day_of};
use super::{Killed, Ordering, Shared, Stage};

pub const STATE_FOLDER: &str = "_compaction_state";
/// As in `hourly_min_files` and `daily_min_files`.
const FEWEST_INPUTS: usize = 3;
const MOST_INPUTS: usize = 12;

/// A job with its inputs.
struct Job {
    unit: Unit,
    tier: &'static str,
    partition: String,
    inputs: Vec<String>,
    ids: Vec<i64>,
}

impl Shared {
    /// Compacts a partition that is due, if there is one.
    pub async fn compact(&self, random: &mut impl FnMut(u64) -> u64) -> Result<(), Killed> {
        let Some(job) = self.due(random) else {
            return Ok(());
        };
        self.run(&job, random).await?;
        let mut model = self.model();
        model.jobs.remove(&job.partition);
        for input in &job.inputs {
            model.busy.remove(input);
        }
        match job.tier {
            "hourly" => model.figures.hourly_jobs += 1,
            _ => model.figures.daily_jobs += 1,
        }
        Ok(())
    }

    /// Starts at a random partition, looks for one with enough files and without a job, and takes
    /// its files.
    fn due(&self, random: &mut impl FnMut(u64) -> u64) -> Option<Job> {
        let mut model = self.model();
        let (count, first) = (self.units.len() as u64, random(self.units.len() as u64));
        let daily_first = random(3) == 0;
        for number in 0..count {
            let unit = &self.units[((first + number) % count) as usize];
            let hours = (0..HOURS).map(|hour| ("hourly", unit.hour(hour as u32)));
            let day = [("daily", unit.day.clone())];
            let partitions: Vec<_> = if daily_first {
                day.into_iter().chain(hours).collect()
            } else {
                hours.chain(day).collect()
            };
            for (tier, partition) in partitions {
                let taken = |other: &String| {
                    Key::parse(&partition).unwrap().is_within(other)
                        || Key::parse(other).unwrap().is_within(&partition)
                };
                if model.jobs.iter().any(taken) {
                    continue;
                }
                let mut inputs = model.free(&format!("{partition}/"));
                // A daily job takes the files in its hours.
                inputs.retain(|key| tier == "hourly" || !key.ends_with("_daily.parquet"));
                inputs.truncate(MOST_INPUTS);
                if inputs.len() < FEWEST_INPUTS {
                    continue;
                }
                model.busy.extend(inputs.iter().cloned());
                model.jobs.insert(partition.clone());
                return Some(Job {
                    unit: unit.clone(),
                    tier,
                    partition,
                    ids: (inputs.iter())
                        .flat_map(|input| model.files[input].clone())
                        .collect(),
                    inputs,
                });
            }
        }
        None
    }

    /// Writes the state and the output, and deletes the inputs and the state.
    async fn run(&self, job: &Job, random: &mut impl FnMut(u64) -> u64) -> Result<(), Killed> {
        let number = self.next_name.fetch_add(1, Ordering::SeqCst);
        let suffix = match job.tier {
            "hourly" => "_b1_compacted",
            _ => "_b1_daily",
        };
        let output = job.unit.new_output(&job.partition, suffix, number);
        let bytes = self.parquet(&job.ids);
        let id = format!("{}_{number}", job.partition.replace('/', "_"));
        let (tier, database) = (job.tier, job.unit.database);
        let state = format!("{STATE_FOLDER}/{tier}/{database}/{id}.json");
        let manifest = json!({
            "output_path": output,
            "output_size": bytes.len(),
            "input_files": job.inputs,
            "database": database,
            "measurement": job.unit.measurement,
            "partition_path": job.partition,
            "tier": tier,
            "status": "pending",
            "created_at": jiff::Timestamp::now().to_string(),
            "job_id": id,
        });
        let day = &job.unit.day;

        // Some jobs are slow, so that others overlap with them. Most are over before anybody looks.
        let slowly = random(4) == 0;
        self.turn().await?;
        let event = self.log().begin(day, "state", &state);
        (self.put(&state, serde_json::to_vec_pretty(&manifest).unwrap())).await;
        self.log().end(event);
        self.reached(Stage::State)?;

        if *self.kill_at.lock().unwrap() == Some(Stage::TornOutput) {
            let event = self.log().begin(day, "torn output", &output);
            self.put(&output, bytes[..bytes.len() / 2].to_vec()).await;
            self.log().end(event);
            self.reached(Stage::TornOutput)?;
        }
        if slowly {
            self.pace.turn().await;
        }
        self.alive()?;
        let event = self.log().begin(day, "output", &output);
        self.put(&output, bytes).await;
        {
            let mut model = self.model();
            model.busy.insert(output.clone());
            model.files.insert(output.clone(), job.ids.clone());
        }
        self.log().end(event);
        self.reached(Stage::Output)?;

        let last = random(job.inputs.len() as u64 - 1) as usize;
        for (number, input) in job.inputs.iter().enumerate() {
            if slowly {
                self.turn().await?;
            } else {
                self.turn_at_once()?;
            }
            let event = self.log().begin(day, "delete input", input);
            self.delete(input).await;
            self.model().files.remove(input);
            self.log().end(event);
            if number == last {
                self.reached(Stage::SomeInputs)?;
            }
        }
        self.reached(Stage::NoInputs)?;

        let event = self.log().begin(day, "state removed", &state);
        self.delete(&state).await;
        self.log().end(event);
        self.model().busy.remove(&output);
        Ok(())
    }

    /// Arc's cleanup at its start. Afterwards the storage equals the model, or the writer itself is
    /// wrong.
    pub async fn resolve(&self) {
        for (state, manifest) in self.states().await {
            let output = manifest["output_path"].as_str().unwrap().to_owned();
            let day = day_of(&output).to_owned();
            let event = self.log().begin(&day, "resolve", &state);
            let found = self.sink.head(&Key::parse(&output).unwrap()).await.unwrap();
            for key in deleted_at_start(&manifest, found.map(|meta| meta.size)) {
                let event = self.log().begin(&day, "resolve: delete", &key);
                self.delete(&key).await;
                self.model().files.remove(&key);
                self.log().end(event);
            }
            self.delete(&state).await;
            self.log().end(event);
        }
        let mut found = Vec::new();
        let mut listing = self.sink.list(ListOptions::default());
        while let Some(row) = listing.next().await {
            if let Listed::Object(meta) = row.unwrap() {
                found.push(meta.key.to_string());
            }
        }
        let mut model = self.model();
        model.busy.clear();
        model.jobs.clear();
        let expected: Vec<_> = model.files.keys().cloned().collect();
        assert!(
            found == expected,
            "the storage is not what was written to it"
        );
    }

    async fn states(&self) -> Vec<(String, Value)> {
        let folder = Key::parse(STATE_FOLDER).unwrap();
        let mut listing = self.sink.list(ListOptions::within(&folder));
        let mut states = Vec::new();
        while let Some(row) = listing.next().await {
            let Ok(Listed::Object(meta)) = row else {
                panic!("no state file: {row:?}");
            };
            let object = (self.sink.get(&meta.key, GetOptions::default()).await).unwrap();
            let bytes = object.body.collect(1 << 20, &meta.key).await.unwrap();
            states.push((
                meta.key.to_string(),
                serde_json::from_slice(&bytes).unwrap(),
            ));
        }
        states
    }
}

/// The keys that Arc deletes at its start for a pending job, besides the state file, given the size
/// of its output.
pub fn deleted_at_start(manifest: &Value, output: Option<u64>) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match output {
        None => Vec::new(),
        Some(size) if Some(size) != manifest["output_size"].as_u64() => {
            vec![text(&manifest["output_path"])]
        }
        Some(_) => {
            let inputs = manifest["input_files"].as_array().unwrap();
            inputs.iter().map(text).collect()
        }
    }
}
