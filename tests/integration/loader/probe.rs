//! A never-seen library is opened in a process of its own first, and what came of it is remembered.

use super::bench::Bench;
use super::edit::{Plugin, constructor};
use billhook::plugin::{self, Flaw, Refusal, Signal};
use billhook_tests::harness::artifacts;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `counting-prober.sh` goes by: it counts its calls and, while a mark is there, crashes instead of probing.
struct Counting {
    log: PathBuf,
    mark: PathBuf,
}

impl Counting {
    fn in_place_of(bench: &mut Bench) -> Self {
        bench.prober = bench.install_prober("counting-prober.sh");
        let folder = bench.folder.path();
        Self { log: folder.join("probes"), mark: folder.join("crash") }
    }

    fn probes(&self) -> usize {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().count()
    }
}

#[tokio::test]
async fn a_known_content_is_opened_without_a_probe_and_a_changed_host_probes_again() {
    let mut bench = Bench::new();
    let counting = Counting::in_place_of(&mut bench);
    let path = bench.install("fixture", &Plugin::good());

    bench.load(&path).await.unwrap();
    bench.load(&path).await.unwrap();
    assert_eq!(counting.probes(), 1);

    // Another name, the same content.
    let copy = bench.install("copy", &Plugin::good());
    bench.load(&copy).await.unwrap();
    assert_eq!(counting.probes(), 1);

    // A host that was installed anew: its file has another change time.
    bench.install_prober("counting-prober.sh");
    bench.load(&path).await.unwrap();
    assert_eq!(counting.probes(), 2);
}

#[tokio::test]
async fn a_crash_is_remembered_with_its_reason_until_it_is_tried_again() {
    let mut bench = Bench::new();
    let counting = Counting::in_place_of(&mut bench);
    let good = Plugin::good();
    let path = bench.install("fixture", &good);
    std::fs::write(&counting.mark, "").unwrap();
    let is_crash = |refusal: &Refusal| {
        let record = bench.record(&good);
        matches!(refusal, Refusal::ProbeCrashed { signal: Signal(11), record: named } if *named == record)
    };

    let first = bench.load(&path).await.unwrap_err().refusal;
    assert!(is_crash(&first), "{first}");
    std::fs::remove_file(&counting.mark).unwrap();
    let second = bench.load(&path).await.unwrap_err().refusal;
    assert!(is_crash(&second), "{second}");
    assert_eq!(counting.probes(), 1);

    let probed = plugin::try_out(&path, &bench.policy(), &bench.prober(), true).await.unwrap();

    assert_eq!(probed.name, "fixture");
    bench.load(&path).await.unwrap();
    assert_eq!(counting.probes(), 2);

    // Tried again with no verdict at all: the old one is gone all the same.
    bench.prober = "/bin/false".into();
    let refusal = plugin::try_out(&path, &bench.policy(), &bench.prober(), true).await.unwrap_err().refusal;
    assert!(matches!(refusal, Refusal::Probe { .. }), "{refusal}");
    assert!(!bench.record(&good).exists());
}

#[tokio::test]
async fn a_flaw_is_remembered_and_what_the_linker_says_is_not() {
    let mut bench = Bench::new();
    let counting = Counting::in_place_of(&mut bench);
    let layout = bench.install("layout", &Plugin::good().with_another_layout());
    for _ in 0..2 {
        let refusal = bench.load(&layout).await.unwrap_err().refusal;
        assert!(matches!(refusal, Refusal::Flaw(Flaw::Layout { .. })), "{refusal}");
    }
    assert_eq!(counting.probes(), 1);

    let needing = bench.install("needing", &needing_another(bench.folder.path()));
    for _ in 0..2 {
        let refusal = bench.load(&needing).await.unwrap_err().refusal;
        let text = refusal.to_string();
        assert!(matches!(refusal, Refusal::Flaw(Flaw::Linking { .. })), "{text}");
        assert!(text.contains("libof-another.so"), "{text}");
    }
    assert_eq!(counting.probes(), 3);
}

/// A library that needs one which is not there any more.
fn needing_another(folder: &Path) -> Plugin {
    let other = folder.join("libof-another.so");
    std::fs::write(folder.join("another.c"), "int another(void) { return 1; }\n").unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&other).arg(folder.join("another.c")).status();
    assert!(built.expect("cc runs").success());
    let needing = constructor_linked(folder, &other);
    std::fs::remove_file(other).unwrap();
    needing
}

fn constructor_linked(folder: &Path, other: &Path) -> Plugin {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/constructor.c");
    let made = folder.join("needing.o.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,--no-as-needed", "-DNAME=\"needing\"", "-o"])
        .arg(&made)
        .arg(source)
        .arg("-L")
        .arg(folder)
        .arg(format!("-l:{}", other.file_name().unwrap().to_str().unwrap()))
        .status();
    assert!(built.expect("cc runs").success());
    Plugin(std::fs::read(made).unwrap())
}

#[tokio::test]
async fn a_probe_that_does_not_end_is_ended_at_its_deadline_and_not_remembered() {
    let bench = Bench::new();
    let waits = constructor(bench.folder.path(), "waits", &["WAITS"]);
    let path = bench.install("waits", &waits);

    let (loaded, ()) = tokio::join!(bench.load(&path), async {
        bench.clock.until(|clock| clock.sleepers() > 0).await;
        bench.clock.advance_to_next();
    });

    let refusal = loaded.unwrap_err().refusal;
    assert!(matches!(refusal, Refusal::ProbeTimedOut { .. }), "{refusal}");
    assert!(!bench.record(&waits).exists());
}

#[tokio::test]
async fn a_probe_has_no_environment_no_descriptors_and_narrow_limits() {
    let mut bench = Bench::new();
    let snoops = bench.install("snoops", &constructor(bench.folder.path(), "snoops", &["SNOOPS"]));

    let refusal = bench.load(&snoops).await.unwrap_err().refusal;

    // It found nothing to complain of, and was opened to the end.
    assert!(matches!(refusal, Refusal::Flaw(Flaw::NotAPlugin { .. })), "{refusal}");

    bench.prober = bench.install_prober("leaking-prober.sh");
    let macros = ["SNOOPS", "ENVIRONMENT_EXPECTED"];
    let leaked = bench.install("leaked", &constructor(bench.folder.path(), "leaked", &macros));
    let refusal = bench.load(&leaked).await.unwrap_err().refusal;
    assert!(matches!(refusal, Refusal::Flaw(Flaw::NotAPlugin { .. })), "{refusal}");
}

#[tokio::test]
async fn a_prober_that_is_none_is_not_held_against_the_plugin() {
    let mut bench = Bench::new();
    let good = Plugin::good();
    let path = bench.install("fixture", &good);
    for program in ["/bin/false", "/nowhere/billhook"] {
        bench.prober = program.into();

        let refusal = bench.load(&path).await.unwrap_err().refusal;

        assert!(matches!(refusal, Refusal::Probe { .. }), "{refusal}");
        assert!(!bench.record(&good).exists());
    }
}

#[test]
fn the_command_line_tells_what_the_daemon_would_find_and_tries_again_when_asked() {
    let bench = Bench::new();
    let good = bench.install("fixture", &Plugin::good());
    let faults = bench.install("faults", &constructor(bench.folder.path(), "faults", &["FAULTS"]));
    bench.config();
    let probe = |args: &[&str], file: &Path| {
        let output = Command::new(artifacts::path("billhook"))
            .arg("--config")
            .arg(bench.config_path())
            .args(["plugins", "probe"])
            .args(args)
            .arg(file)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };

    for args in [&[][..], &["--again"]] {
        let (code, out, err) = probe(args, &good);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.starts_with("fixture 0.1.0 can be loaded, SHA-256 "), "{out}");

        let (code, _, err) = probe(args, &faults);
        assert_eq!(code, Some(1), "{err}");
        for part in [faults.to_str().unwrap(), "SIGSEGV", ".probe.json", "help: "] {
            assert!(err.contains(part), "{part:?} is not in {err:?}");
        }
    }
    let (code, _, err) = probe(&[], Path::new("/etc/hostname"));
    assert_eq!(code, Some(2), "{err}");
}
