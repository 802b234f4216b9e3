//! The server as a separate process, for measurements: prints its endpoint, and stops when its
//! input ends.
//!
//! `arc-backup-test-s3 [--spill DIR] [--latency-ms N] [--bucket NAME]…`; the keys are those of
//! [`ServerOptions::default`].

use std::io::{Read as _, Write as _};
use std::time::Duration;

use arc_backup_test_s3::{S3Server, ServerOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = ServerOptions::default();
    let mut buckets = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--spill" => options.spill_to = Some(value.into()),
            "--latency-ms" => options.latency = Duration::from_millis(value.parse()?),
            "--bucket" => buckets.push(value),
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    if !buckets.is_empty() {
        options.buckets = buckets;
    }
    let server = S3Server::start(options)?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", server.endpoint())?;
    output.flush()?;
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    drop(server);
    Ok(())
}
