//! The command line.
/// x
pub fn main(registry: crate::Registry) -> std::process::ExitCode {
    drop(registry);
    std::process::ExitCode::SUCCESS
}
