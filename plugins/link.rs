//! How a plugin's library is linked, the same for all of them.

use std::env;
use std::process::Command;

/// The first C library that can load relative relocations packed as a bitmap (`DT_RELR`).
const PACKED: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=../link.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_at_home = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    // Only what is shipped, and only for machines like this one: an older C library refuses such a file.
    if is("OPT_LEVEL", "z")
        && is_at_home
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && c_library().is_some_and(|it| it >= PACKED)
    {
        // Of 1.1 MB, 60 KB are places of the tables that describe the ABI.
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,pack-relative-relocs");
    }
}

/// `glibc 2.36`, as this machine's says.
fn c_library() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
