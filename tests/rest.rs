#[test]
fn stub() {}
mod support;
