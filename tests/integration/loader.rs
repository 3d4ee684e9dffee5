//! What the loader takes, what it refuses and in which words; and that a refused file hurts nothing else.

pub(crate) mod bench;
pub(crate) mod edit;
mod probe;
mod versions;

use bench::{Bench, set_mode};
use billhook::operation::State;
use billhook::plugin::{Flaw, LoadPolicy, Refusal, Sha256};
use edit::{Plugin, constructor};

/// A file that no host runs.
struct Bad {
    /// The provider, which is also the name in its file's descriptor if it has one.
    name: &'static str,
    plugin: Plugin,
    mode: u32,
    is_expected: fn(&Refusal) -> bool,
    /// What its text says of the cause.
    cause: &'static str,
    /// What its text says of the remedy.
    remedy: &'static str,
}

impl Bad {
    fn new(
        name: &'static str,
        plugin: Plugin,
        is_expected: fn(&Refusal) -> bool,
        cause: &'static str,
        remedy: &'static str,
    ) -> Self {
        Self { name, plugin, mode: 0o644, is_expected, cause, remedy }
    }
}

/// The whole matrix, each as a file's content.
fn matrix(bench: &Bench) -> Vec<Bad> {
    let good = Plugin::good;
    let is_cut = |refusal: &Refusal| matches!(refusal, Refusal::CutShort { .. });
    vec![
        Bad::new(
            "text",
            Plugin(b"#!/bin/sh\nexit 0\n".to_vec()),
            |refusal| matches!(refusal, Refusal::NotElf),
            "it is not an ELF file",
            "name the shared object (.so)",
        ),
        Bad::new(
            "empty",
            Plugin(Vec::new()),
            |refusal| matches!(refusal, Refusal::Empty),
            "it is empty",
            "name the shared object (.so)",
        ),
        Bad::new("cut10", good().cut(10), is_cut, "cut short or damaged", "copy the file again"),
        Bad::new("cut50", good().cut(50), is_cut, "cut short or damaged", "copy the file again"),
        Bad::new("cut90", good().cut(90), is_cut, "cut short or damaged", "copy the file again"),
        Bad::new(
            "machine",
            good().for_another_machine(),
            |refusal| matches!(refusal, Refusal::WrongMachine { .. }),
            "it is built for the ELF machine",
            "build the plugin for this machine",
        ),
        Bad::new(
            "nodesc",
            good().without_descriptor(),
            |refusal| matches!(refusal, Refusal::NoDescriptor),
            "it has no descriptor",
            "export_provider!",
        ),
        Bad::new(
            "major",
            good().of_abi_major(2),
            |refusal| matches!(refusal, Refusal::AbiMajor { found: 2, host: 1 }),
            "it has ABI major 2, and this host has 1",
            "upgrade the host",
        ),
        Bad::new(
            "oldmajor",
            good().of_abi_major(0),
            |refusal| matches!(refusal, Refusal::AbiMajor { found: 0, host: 1 }),
            "it has ABI major 0, and this host has 1",
            "with the plugin-api of this host",
        ),
        Bad::new(
            "abort",
            good().named("abort").aborting(),
            |refusal| matches!(refusal, Refusal::PanicAbort),
            "panic = \"abort\"",
            "panic = \"unwind\"",
        ),
        Bad::new(
            "clash",
            good(),
            |refusal| matches!(refusal, Refusal::NameClash { name, other } if name == "fixture" && other.ends_with("libfixture.so")),
            "its name fixture is taken by",
            "load only one of the two",
        ),
        Bad::new(
            "misnamed",
            good().named("another"),
            |refusal| matches!(refusal, Refusal::WrongName { found, .. } if found == "another"),
            "names the plugin another, and its file the plugin misnamed",
            "name the file lib<name>.so",
        ),
        Bad {
            mode: 0o646,
            ..Bad::new(
                "writable",
                good().named("writable"),
                |refusal| matches!(refusal, Refusal::Permissions { mode: 0o646, .. }),
                "mode 0646, so others could change the plugin",
                "chmod go-w",
            )
        },
        Bad::new(
            "layout",
            good().named("layout").with_another_layout(),
            |refusal| matches!(refusal, Refusal::Flaw(Flaw::Layout { .. })),
            "its types are not those of this ABI",
            "unchanged billhook-plugin-api",
        ),
        Bad::new(
            "nolayout",
            good().named("nolayout").without_layout(),
            |refusal| matches!(refusal, Refusal::Flaw(Flaw::NoLayout)),
            "without the layout of its types",
            "unchanged billhook-plugin-api",
        ),
        Bad::new(
            "hollow",
            constructor(bench.folder.path(), "hollow", &[]),
            |refusal| matches!(refusal, Refusal::Flaw(Flaw::NotAPlugin { .. })),
            "it has a descriptor and no plugin behind it",
            "unchanged billhook-plugin-api",
        ),
        Bad::new(
            "faults",
            constructor(bench.folder.path(), "faults", &["FAULTS"]),
            |refusal| matches!(refusal, Refusal::ProbeCrashed { .. }),
            "ended that process with SIGSEGV; this is remembered in",
            "billhook plugins probe --again",
        ),
        Bad::new(
            "exits",
            constructor(bench.folder.path(), "exits", &["EXITS"]),
            |refusal| matches!(refusal, Refusal::ProbeExited { code: 3, .. }),
            "with exit code 3; this is remembered in",
            "billhook plugins probe --again",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_file_has_its_own_refusal_with_file_cause_and_remedy_and_hurts_no_other() {
    let mut bench = Bench::new();
    bench.install("fixture", &Plugin::good());
    bench.server("good", "fixture", "");
    let matrix = matrix(&bench);
    for bad in &matrix {
        let path = bench.install(bad.name, &bad.plugin);
        set_mode(&path, bad.mode);
        bench.server(bad.name, bad.name, "");
    }

    let host = bench.start().await;

    for bad in &matrix {
        let path = bench.plugin_path(bad.name);
        let policy = LoadPolicy { name: Some(bad.name.to_owned()), ..bench.policy() };
        let error = billhook::plugin::load(&path, &policy, &bench.prober()).await.unwrap_err();
        assert!((bad.is_expected)(&error.refusal), "{}: {:?}", bad.name, error.refusal);
        assert!(error.refusal.remedy().contains(bad.remedy), "{}: {}", bad.name, error.refusal.remedy());
        let told = &host.engine.unready()[bad.name];
        for part in [path.to_str().unwrap(), bad.cause, bad.remedy] {
            assert!(told.contains(part), "{}: {part:?} is not in {told:?}", bad.name);
        }
    }
    let id = host.create("good", "1007").await;
    let created = host.drive(&id).await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    assert_eq!(host.engine.unready().len(), matrix.len());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_a_server_is_opened_leaves_the_other_servers_at_work() {
    let mut bench = Bench::new();
    bench.install("fixture", &Plugin::good());
    bench.server("good", "fixture", "");
    bench.server("bad", "fixture", "panics = true");

    let host = bench.start().await;

    let told = &host.engine.unready()["bad"];
    assert!(told.contains("the fixture panics as it was told to"), "{told}");
    let id = host.create("good", "1007").await;
    assert_eq!(host.drive(&id).await.state, State::Succeeded);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_in_a_folder_that_others_write_to_are_refused() {
    let mut bench = Bench::new();
    let path = bench.install("fixture", &Plugin::good());
    bench.server("good", "fixture", "");
    let folder = path.parent().unwrap();
    for mode in [0o777, 0o775] {
        set_mode(folder, mode);

        let host = bench.start().await;

        let told = &host.engine.unready()["good"];
        let cause = format!("{} has owner", folder.display());
        assert!(told.contains(&cause) && told.contains("chmod go-w"), "{told}");
        assert!(!bench.staging().exists(), "nothing of it was taken");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_takes_its_content_and_no_other() {
    let mut bench = Bench::new();
    let good = Plugin::good();
    let path = bench.install("fixture", &good);
    bench.server("good", "fixture", "");
    bench.pin("fixture", Sha256::of(&good.0));
    let host = bench.start().await;
    assert!(host.engine.unready().is_empty(), "{:?}", host.engine.unready());
    host.stop().await;

    let other = good.second();
    bench.install("fixture", &other);
    let host = bench.start().await;

    let told = &host.engine.unready()["good"];
    let found = Sha256::of(&other.0).to_string();
    for part in [path.to_str().unwrap(), "is pinned", &found, "find out who changed the file"] {
        assert!(told.contains(part), "{part:?} is not in {told:?}");
    }
    assert!(!bench.record(&other).exists(), "what is not trusted is not even probed");
    host.stop().await;
}
