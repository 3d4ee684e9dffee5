//! What real providers take, each on the fake panel that its tests run on. For information: a fake panel takes its time too.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::build::Programs;
use super::figures::{Load, Results, Until};
use super::house::{House, Setup, write_private};
use super::medium::{Medium, Pace};
use super::program::Program;

/// A provider and its fake panel.
pub(super) struct Provider {
    pub(super) package: &'static str,
    pub(super) library: &'static str,
    name: &'static str,
    pub(super) panel: &'static str,
    panel_args: &'static [&'static str],
    /// Settings of the server, where `{folder}` is where its files are.
    server: &'static str,
    /// Settings of the product.
    product: &'static str,
}

/// All of them.
pub(super) const PROVIDERS: &[Provider] = &[
    Provider {
        package: "billhook-virtfusion",
        library: "libvirtfusion.so",
        name: "virtfusion",
        panel: "fake-virtfusion",
        panel_args: &["--listen", "127.0.0.1:0", "--build-ms", "0", "--token-file", "{folder}/token"],
        server: "token = { file = \"{folder}/token\" }",
        product: "package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10",
    },
    Provider {
        package: "billhook-rootpanel",
        library: "librootpanel.so",
        name: "rootpanel",
        panel: "fake-rootpanel",
        panel_args: &[
            "--listen",
            "127.0.0.1:0",
            "--accept-ms",
            "0",
            "--install-ms",
            "0",
            "--balance",
            "100000.00",
            "--apikey-file",
            "{folder}/token",
        ],
        server: "login = \"reseller\"\napikey = { file = \"{folder}/token\" }",
        product: "tarifid = 12\nperiod = 1\nosid = 7",
    },
    Provider {
        package: "billhook-solidcp",
        library: "libsolidcp.so",
        name: "solidcp",
        panel: "fake-solidcp",
        panel_args: &[
            "--listen",
            "127.0.0.1:0",
            "--provision-ms",
            "0",
            "--addresses",
            "200",
            "--password-file",
            "{folder}/token",
        ],
        server: "login = \"reseller\"\npassword = { file = \"{folder}/token\" }\nmachine_domain = \"vm.example.test\"",
        product: "plans = [11]\ncpu_cores = 2\nmemory_mb = 4096\ndisk_gb = 60\nos_template = \"win2022.vhdx\"",
    },
    Provider {
        package: "billhook-dcimanager",
        library: "libdcimanager.so",
        name: "dcimanager",
        panel: "fake-dcimanager",
        panel_args: &[
            "--listen",
            "127.0.0.1:0",
            "--install-ms",
            "0",
            "--step-ms",
            "0",
            "--machines",
            "200",
            "--password-file",
            "{folder}/token",
        ],
        server: "login = \"whmcs\"\npassword = { file = \"{folder}/token\" }",
        product: "package = \"E3-1230v6-16-2x1000SATA\"\nos = \"ISPsystem__Debian-11-x86_64\"\ndont_wait = true",
    },
    Provider {
        package: "billhook-apiscp",
        library: "libapiscp.so",
        name: "apiscp",
        panel: "fake-apiscp",
        panel_args: &["--listen", "127.0.0.1:0", "--key-file", "{folder}/token"],
        server: "api_key = { file = \"{folder}/token\" }",
        product: "plan = \"basic\"",
    },
];

/// Creates with one caller and with eight: so many that a fake panel has room for all of them.
const CREATES: [(usize, usize); 2] = [(1, 16), (8, 64)];
/// Each on a service of its own.
const CALLERS: [usize; 3] = [1, 8, 64];

/// Measures create and suspend of every provider, without sync cost.
pub(super) fn run(programs: &Programs, work: &Path, pace: Pace, results: &mut Results) -> Result<()> {
    PROVIDERS.iter().try_for_each(|provider| provider.measure(programs, work, pace, results))
}

impl Provider {
    /// What the lines of the table are called.
    pub(super) fn variants(&self) -> [String; 2] {
        ["create", "suspend"].map(|hook| format!("{} {hook}", self.name))
    }

    fn measure(&self, programs: &Programs, work: &Path, pace: Pace, results: &mut Results) -> Result<()> {
        let medium = Medium::Tmpfs;
        let generator = programs.program("bench-load")?;
        let folder = medium.folder(work, "panel")?;
        let place = folder.path().display().to_string();
        write_private(&folder.path().join("token"), "a-token-for-the-benchmark")?;
        let mut command = Command::new(programs.program(self.panel)?);
        command.args(self.panel_args.iter().map(|arg| arg.replace("{folder}", &place)));
        let mut panel = Program::start("the fake panel", command, folder.path(), &programs.preload, medium)?;
        let address = panel.listening_on()?;
        let toml = format!(
            "[servers.panel]\nprovider = \"{}\"\nbase_url = \"{address}\"\nallow_http = true\nconcurrency = 64\n\
             [servers.panel.settings]\n{}\n[products.real]\nserver = \"panel\"\n[products.real.settings]\n{}\n",
            self.name,
            self.server.replace("{folder}", &place),
            self.product
        );
        let house = House::new(programs, medium, work, "real", &Setup { plugins: &[self.library], toml, store: None })?;
        let daemon = house.start()?;
        let [create, suspend] = self.variants();
        let mut measure = |variant: &str, work: &[&str], callers, run, until| -> Result<()> {
            let (target, program) = (daemon.target(), Some(&daemon.program));
            let load = Load { variant, work, target, program, callers, run, until };
            results.figures.push(load.measure(generator, medium, 1)?);
            Ok(())
        };
        for (callers, count) in CREATES {
            let prefix = format!("c{callers}");
            let work = ["creates", "--prefix", &prefix, "--product", "real"];
            measure(&create, &work, callers, prefix.clone(), Until::Count(count))?;
        }
        for callers in CALLERS {
            let work = ["hooks", "--prefix", "c8"];
            measure(&suspend, &work, callers, format!("s{callers}"), Until::Millis(pace.millis))?;
        }
        daemon.program.stop()
    }
}
