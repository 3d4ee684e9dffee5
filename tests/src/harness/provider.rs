use crate::apiscp::{self, ApisCp};
use crate::clock::ManualClock;
use crate::dcimanager::{self, DciManager};
use crate::panel::{Panel, Running, World};
use crate::rootpanel::{self, RootPanel};
use crate::solidcp::{self, SolidCp};
use crate::virtfusion::{self, VirtFusion};

/// A provider with its fake panel: what a rig has to know to put one beside a host.
pub trait Provider {
    /// Its panel.
    type World: World;

    /// Its name in configurations.
    const NAME: &'static str;
    /// Its library among the artifacts.
    const LIBRARY: &'static str;
    /// Settings of the product `vps`, lines of TOML.
    const PRODUCT: &'static str;
    /// Settings of the product `vps-large`.
    const LARGE_PRODUCT: &'static str;

    /// A panel with the defaults on this clock.
    fn config(clock: &ManualClock) -> <Self::World as World>::Config;

    /// The server's address.
    fn base_url(running: &Running<Self::World>) -> String;

    /// What stands in the file `token` beside the configuration.
    fn secret(running: &Running<Self::World>) -> String;

    /// The members of the server's settings, as in an inline table of TOML; `token` is that file's path.
    fn settings(running: &Running<Self::World>, token: &str) -> String;
}

/// The panel of a provider, as tests ask it.
pub type PanelOf<P> = Panel<<P as Provider>::World>;

/// The server of a provider's panel.
pub type RunningOf<P> = Running<<P as Provider>::World>;

impl Provider for VirtFusion {
    type World = virtfusion::World;

    const NAME: &'static str = "virtfusion";
    const LIBRARY: &'static str = "libvirtfusion.so";
    const PRODUCT: &'static str = "package_id = 1\nhypervisor_group_id = 1\nos_template_id = 10\n";
    const LARGE_PRODUCT: &'static str = "package_id = 2\nhypervisor_group_id = 1\nos_template_id = 10\n";

    fn config(clock: &ManualClock) -> virtfusion::Config {
        virtfusion::Config::at(clock)
    }

    fn base_url(running: &virtfusion::Running) -> String {
        running.base_url()
    }

    fn secret(running: &virtfusion::Running) -> String {
        running.token().to_owned()
    }

    fn settings(_running: &virtfusion::Running, token: &str) -> String {
        format!("token = {{ file = \"{token}\" }}")
    }
}

impl Provider for RootPanel {
    type World = rootpanel::World;

    const NAME: &'static str = "rootpanel";
    const LIBRARY: &'static str = "librootpanel.so";
    const PRODUCT: &'static str = "tarifid = 12\nperiod = 1\nosid = 7\n";
    const LARGE_PRODUCT: &'static str = "tarifid = 12\nperiod = 1\nosid = 8\naddons = [9, 9]\n";

    fn config(clock: &ManualClock) -> rootpanel::Config {
        rootpanel::Config::at(clock)
    }

    fn base_url(running: &rootpanel::Running) -> String {
        running.base_url()
    }

    fn secret(running: &rootpanel::Running) -> String {
        running.user().apikey.clone()
    }

    fn settings(running: &rootpanel::Running, token: &str) -> String {
        format!("login = \"{}\", apikey = {{ file = \"{token}\" }}", running.user().login)
    }
}

impl Provider for SolidCp {
    type World = solidcp::World;

    const NAME: &'static str = "solidcp";
    const LIBRARY: &'static str = "libsolidcp.so";
    const PRODUCT: &'static str =
        "plans = [11]\ncpu_cores = 2\nmemory_mb = 4096\ndisk_gb = 60\nos_template = \"win2022.vhdx\"\n";
    const LARGE_PRODUCT: &'static str =
        "plans = [12]\ncpu_cores = 4\nmemory_mb = 8192\ndisk_gb = 120\nos_template = \"win2022.vhdx\"\n";

    fn config(clock: &ManualClock) -> solidcp::Config {
        solidcp::Config::at(clock)
    }

    fn base_url(running: &solidcp::Running) -> String {
        running.base_url()
    }

    fn secret(running: &solidcp::Running) -> String {
        running.account().password.clone()
    }

    fn settings(running: &solidcp::Running, token: &str) -> String {
        let login = &running.account().username;
        format!("login = \"{login}\", password = {{ file = \"{token}\" }}, machine_domain = \"vm.example.test\"")
    }
}

impl Provider for DciManager {
    type World = dcimanager::World;

    const NAME: &'static str = "dcimanager";
    const LIBRARY: &'static str = "libdcimanager.so";
    const PRODUCT: &'static str = "package = \"E3-1230v6-16-2x1000SATA\"\nos = \"ISPsystem__Debian-11-x86_64\"\n";
    const LARGE_PRODUCT: &'static str =
        "package = \"E5-2620v4-64-2x480SSD\"\nos = \"ISPsystem__CentOS-7-amd64\"\nIP = 2\n";

    fn config(clock: &ManualClock) -> dcimanager::Config {
        dcimanager::Config::at(clock)
    }

    fn base_url(running: &dcimanager::Running) -> String {
        running.base_url()
    }

    fn secret(running: &dcimanager::Running) -> String {
        running.admin().password.clone()
    }

    fn settings(running: &dcimanager::Running, token: &str) -> String {
        let login = &running.admin().name;
        format!("login = \"{login}\", password = {{ file = \"{token}\" }}, panel_url = \"https://dci.example:1500\"")
    }
}

impl Provider for ApisCp {
    type World = apiscp::World;

    const NAME: &'static str = "apiscp";
    const LIBRARY: &'static str = "libapiscp.so";
    const PRODUCT: &'static str = "plan = \"basic\"\n";
    const LARGE_PRODUCT: &'static str = "plan = \"pro\"\n";

    fn config(clock: &ManualClock) -> apiscp::Config {
        apiscp::Config::at(clock)
    }

    fn base_url(running: &apiscp::Running) -> String {
        running.base_url()
    }

    fn secret(running: &apiscp::Running) -> String {
        running.key().to_owned()
    }

    fn settings(_running: &apiscp::Running, token: &str) -> String {
        format!("api_key = {{ file = \"{token}\" }}, panel_url = \"https://panel.example.net:2083\"")
    }
}
