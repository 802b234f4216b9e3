//! The binary.

fn main() -> std::process::ExitCode {
    arc_backup::main(arc_backup::Registry::new())
}
