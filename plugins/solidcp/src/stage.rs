//! A panel small enough to read, for the tests of the hooks: it keeps users, spaces, addresses and machines, and breaks
//! where it is told to.

use crate::SolidCp;
use crate::samples::envelope;
use crate::settings::Product;
use billhook_plugin_api::testing::{Ended, Scripted, ScriptedHost, reply_as};
use billhook_plugin_api::{Client, Create, Fault, FaultClass, Provider, Request, Service, Terminate};
use billhook_soap::{Limits, Node};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

/// How a call breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Break {
    NeverLeft,
    /// The answer is lost; the work is done or not.
    Lost {
        done: bool,
    },
    /// This status and body instead of the true answer; the work is done or not.
    Says {
        done: bool,
        status: u16,
        body: &'static str,
    },
    /// A SOAP fault with this text; the work is done or not.
    Faults {
        done: bool,
        text: &'static str,
    },
}

/// Every way in which the tests break a change.
pub const BREAKS: [Break; 9] = [
    Break::NeverLeft,
    Break::Lost { done: false },
    Break::Lost { done: true },
    Break::Says { done: true, status: 200, body: "" },
    Break::Says { done: true, status: 200, body: "<html><body>busy</body></html>" },
    Break::Says { done: false, status: 503, body: "Service Unavailable" },
    Break::Says { done: true, status: 502, body: "" },
    Break::Faults { done: true, text: "Execution Timeout Expired" },
    Break::Faults { done: false, text: "something went wrong" },
];

/// Runs again while steps settle or faults pass, as the host does.
pub fn to_end<T>(mut run: impl FnMut() -> Ended<T>) -> Ended<T> {
    for _ in 0..8 {
        match run() {
            Ended::Settling(_) => {}
            Ended::Fault(fault) if fault.class.passes_by_itself() || fault.class == FaultClass::PanelBug => {}
            ended => return ended,
        }
    }
    panic!("it never ends");
}

/// What a run returned.
#[track_caller]
pub fn ok<T: std::fmt::Debug>(ended: Ended<T>) -> T {
    match ended {
        Ended::Ok(value) => value,
        other => panic!("{other:?}"),
    }
}

/// The fault of a run.
#[track_caller]
pub fn fault<T: std::fmt::Debug>(ended: Ended<T>) -> Fault {
    match ended {
        Ended::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

pub fn provider_with(more: Value) -> SolidCp {
    let mut settings =
        json!({ "login": "reseller1", "password": "p", "machine_domain": "vm.example.test", "user_prefix": "svc" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    SolidCp::open(serde_json::from_value(settings).unwrap()).unwrap()
}

pub fn provider() -> SolidCp {
    provider_with(json!({}))
}

pub fn product(more: Value) -> Product {
    let mut settings =
        json!({ "plans": [11], "cpu_cores": 2, "memory_mb": 4096, "disk_gb": 60, "os_template": "win2022.vhdx" });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

/// The service of the tests, before anything was made for it.
pub fn service() -> Service {
    Service {
        platform: "shop".into(),
        id: "10042".into(),
        client_id: Some("77".into()),
        epoch: 1,
        ..Service::default()
    }
}

/// The service of the tests with the space 801, as a create leaves it.
pub fn owned() -> Service {
    let properties = json!({
        "user_id": 57, "user_made": true, "panel_user": "svc10042", "space_id": 5, "item_id": 753, "plan_id": 11,
    });
    Service { remote_id: Some("801".into()), properties: properties.as_object().unwrap().clone(), ..service() }
}

pub fn create(more: Value) -> Create<Product> {
    let client = Client { name: "Jane Doe".into(), email: "jane@example.test".into(), ..Client::default() };
    Create { service: service(), client, product: product(more), password: None }
}

pub fn terminate() -> Terminate<Product> {
    Terminate { service: owned(), product: product(json!({})) }
}

#[derive(Debug, Clone, PartialEq)]
pub struct User {
    pub name: String,
    pub owner: i64,
    pub role: i64,
    pub status: i64,
    pub is_peer: bool,
    pub comments: String,
    pub password: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    pub user: i64,
    pub parent: i64,
    pub status: i64,
    pub plan: i64,
    pub name: String,
    pub comments: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub space: i64,
    pub name: String,
    pub state: String,
    pub provisioning: &'static str,
    /// Reads of it until its task is over; none while 0.
    pub busy: u32,
    pub cores: i64,
    pub memory: i64,
    pub disks: Vec<i64>,
    pub guid: u32,
    pub uptime: i64,
    pub template: String,
    pub password: String,
    pub may_reinstall: bool,
    pub may_reset: bool,
    pub starts: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    pub vlan: i64,
    pub space: i64,
    pub item: i64,
}

pub struct World {
    pub users: BTreeMap<i64, User>,
    pub spaces: BTreeMap<i64, Space>,
    pub machines: BTreeMap<i64, Machine>,
    /// By the last number of 203.0.113.x.
    pub addresses: BTreeMap<i64, Address>,
    /// Free memory of the server that a space is on.
    pub memory_mb: BTreeMap<i64, i64>,
    /// Plan to space.
    pub plans: BTreeMap<i64, i64>,
    pub addons: Vec<(i64, i64, i64)>,
    /// A new space gets its addresses at once, and no more later.
    pub assigns_at_once: bool,
    /// How many addresses a plan allows.
    pub address_quota: usize,
    pub is_152: bool,
    pub is_2x: bool,
    /// Reads that background work takes.
    pub slowness: u32,
    /// What the next machines end up as.
    pub outcome: &'static str,
    /// A change of a status is answered with 0 and not done.
    pub ignores_status: bool,
    pub ignores_password: bool,
    pub console: &'static str,
    /// Spaces on their way out, with the reads left.
    pub leaving: BTreeMap<i64, u32>,
    pub breaks: Vec<(&'static str, Break)>,
    /// Runs once, right after the next change of that operation.
    pub after: Option<(&'static str, fn(&mut World))>,
    next: i64,
}

/// A panel and a handle to look at it.
#[derive(Clone)]
pub struct Stage(Arc<Mutex<World>>);

impl Stage {
    pub fn new() -> Self {
        let user = |name: &str, owner, role| User {
            name: name.into(),
            owner,
            role,
            status: 1,
            is_peer: false,
            comments: String::new(),
            password: "old".into(),
        };
        let space =
            |name: &str| Space { user: 2, parent: 1, status: 1, plan: 1, name: name.into(), comments: String::new() };
        let free = |space| Address { vlan: 0, space, item: 0 };
        let other = Space { user: 3, ..space("somebody else's") };
        Self(Arc::new(Mutex::new(World {
            users: BTreeMap::from([(2, user("reseller1", 1, 2)), (3, user("reseller2", 1, 2))]),
            spaces: BTreeMap::from([(5, space("SSD")), (6, space("HDD")), (7, other)]),
            machines: BTreeMap::new(),
            addresses: (10..14).map(|n| (n, free(5))).chain((20..24).map(|n| (n, free(6)))).collect(),
            memory_mb: BTreeMap::from([(5, 32_000), (6, 64_000), (7, 1_000_000)]),
            plans: BTreeMap::from([(11, 5), (12, 5), (21, 6), (31, 7)]),
            addons: Vec::new(),
            assigns_at_once: false,
            address_quota: 2,
            is_152: false,
            is_2x: false,
            slowness: 0,
            outcome: "OK",
            ignores_status: false,
            ignores_password: false,
            console: "",
            leaving: BTreeMap::new(),
            breaks: Vec::new(),
            after: None,
            next: 801,
        })))
    }

    /// A panel with the space 801 of user 57, and a machine 753 in it that runs.
    pub fn with_machine() -> Self {
        let stage = Self::new();
        {
            let mut world = stage.world();
            let marker = "billhook:shop:10042:1".to_owned();
            let user = User {
                name: "svc10042".into(),
                owner: 2,
                role: 3,
                comments: marker.clone(),
                ..world.users[&2].clone()
            };
            world.users.insert(57, user);
            let space = Space { user: 57, parent: 5, status: 1, plan: 11, name: "svc-10042".into(), comments: marker };
            world.spaces.insert(801, space);
            let machine = Machine { memory: 4_096, disks: vec![60], ..machine(801, "h10042.vm.example.test") };
            world.machines.insert(753, machine);
            world.addresses.insert(10, Address { vlan: 0, space: 801, item: 753 });
            world.next = 900;
        }
        stage
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The next call of that operation breaks.
    pub fn breaks(&self, operation: &'static str, how: Break) {
        self.world().breaks.push((operation, how));
    }

    pub fn host(&self) -> ScriptedHost {
        let stage = self.clone();
        ScriptedHost::new(move |request| stage.world().exchange(request))
    }
}

/// The operations of the changes that a host was asked for.
pub fn changes(host: &ScriptedHost) -> Vec<String> {
    host.exchanges().iter().filter(|(_, change)| *change).map(|(request, _)| operation(request)).collect()
}

fn operation(request: &Request) -> String {
    let action = request.headers.iter().find(|(name, _)| name == "SOAPAction").map(|(_, value)| value.as_str());
    action.unwrap_or_default().trim_matches('"').rsplit('/').next().unwrap_or_default().to_owned()
}

pub fn machine(space: i64, name: &str) -> Machine {
    Machine {
        space,
        name: name.into(),
        state: "Running".into(),
        provisioning: "OK",
        busy: 0,
        cores: 2,
        memory: 1_024,
        disks: vec![10],
        guid: 1,
        uptime: 86_400_000,
        template: "win2022.vhdx".into(),
        password: "guest-password-1".into(),
        may_reinstall: true,
        may_reset: true,
        starts: 1,
    }
}

fn xml(status: u16, body: impl Into<Vec<u8>>) -> Scripted {
    reply_as("text/xml; charset=utf-8", status, body)
}

impl World {
    fn exchange(&mut self, request: &Request) -> Scripted {
        if request.method == "GET" {
            return self.description(request);
        }
        if self.is_2x {
            return reply_as("text/html", 404, "<html>not found</html>");
        }
        let operation = operation(request);
        let at = self.breaks.iter().position(|(wanted, _)| *wanted == operation);
        match at.map(|at| self.breaks.remove(at).1) {
            None => self.answer(request, &operation),
            Some(Break::NeverLeft) => Scripted::NeverLeft,
            Some(Break::Lost { done }) => {
                if done {
                    self.answer(request, &operation);
                }
                Scripted::Lost
            }
            Some(Break::Says { done, status, body }) => {
                if done {
                    self.answer(request, &operation);
                }
                xml(status, body)
            }
            Some(Break::Faults { done, text }) => {
                if done {
                    self.answer(request, &operation);
                }
                soap_fault(text)
            }
        }
    }

    fn description(&self, request: &Request) -> Scripted {
        match (request.path.as_str(), self.is_2x) {
            ("/esUsers", true) => xml(200, "<wsdl/>"),
            ("/esServers.asmx", false) => {
                xml(200, if self.is_152 { "<x GetSystemMemoryInfoPackageId/>" } else { "<x/>" })
            }
            ("/esVirtualizationServer2012.asmx", false) => xml(200, "<x dmzAddressesNumber/>"),
            _ => reply_as("text/html", 404, "not found"),
        }
    }

    fn answer(&mut self, request: &Request, operation: &str) -> Scripted {
        let tree = Limits::default().read(None, &request.body).unwrap();
        let call = tree.root().child("Body").unwrap().child(operation).unwrap();
        assert_eq!(call.namespace(), "http://smbsaas/solidcp/enterpriseserver");
        match self.result(operation, call) {
            Ok(inner) => {
                if let Some((_, then)) = self.after.take_if(|(wanted, _)| *wanted == operation) {
                    then(self);
                }
                let result = match inner {
                    None => String::new(),
                    Some(inner) => format!("<{operation}Result>{inner}</{operation}Result>"),
                };
                xml(200, envelope(operation, &result))
            }
            Err(text) => soap_fault(&text),
        }
    }

    /// What an operation answers; `None` is null.
    fn result(&mut self, operation: &str, call: Node<'_>) -> Result<Option<String>, String> {
        let int = |name: &str| call.child(name).unwrap().i64().unwrap();
        let text = |name: &str| call.child(name).unwrap().text().unwrap().to_owned();
        let number = |code: i64| Ok(Some(code.to_string()));
        match operation {
            "UserExists" => {
                let name = text("username");
                Ok(Some((self.users.values().any(|user| user.name == name)).to_string()))
            }
            "GetUserByUsername" => {
                let name = text("username");
                let found = self.users.iter().find(|(id, user)| user.name == name && (user.owner == 2 || **id == 2));
                Ok(found.map(|(id, user)| user.xml(*id)))
            }
            "GetUserById" => {
                let id = int("userId");
                Ok(self.users.get(&id).filter(|user| user.owner == 2 || id == 2).map(|user| user.xml(id)))
            }
            "AddUser" => {
                let user = call.child("user").unwrap();
                let of = |name: &str| user.child(name).unwrap().text().unwrap().to_owned();
                if self.users.values().any(|user| user.name == of("Username")) {
                    return number(-100);
                }
                let id = 57.max(self.users.keys().max().unwrap() + 1);
                let user = User {
                    name: of("Username"),
                    owner: of("OwnerId").parse().unwrap(),
                    role: of("RoleId").parse().unwrap(),
                    status: of("StatusId").parse().unwrap(),
                    is_peer: false,
                    comments: of("Comments"),
                    password: text("password"),
                };
                self.users.insert(id, user);
                number(id)
            }
            "DeleteUser" => {
                assert!(self.users.remove(&int("userId")).is_some(), "that would take the panel down");
                number(0)
            }
            "ChangeUserPassword" => {
                let user = self.users.get_mut(&int("userId")).unwrap();
                if !self.ignores_password {
                    user.password = text("password");
                }
                number(0)
            }
            "AuthenticateUser" => {
                let (name, password) = (text("username"), text("password"));
                let user = self.users.values().find(|user| user.name == name);
                number(match user {
                    None => -109,
                    Some(user) if user.password != password => -110,
                    Some(_) => 0,
                })
            }
            "GetHostingPlans" => {
                let mut rows = String::new();
                for (plan, space) in &self.plans {
                    write!(rows, "<Table><PlanID>{plan}</PlanID><PackageID>{space}</PackageID><PlanName>P{plan}</PlanName>\
                        <ServerName>HV{space}</ServerName></Table>").unwrap();
                }
                Ok(Some(data_set(&rows)))
            }
            "GetHostingPlan" => Ok(match int("planId") {
                90 => Some("<PlanId>90</PlanId><IsAddon>true</IsAddon>".into()),
                plan => self.plans.iter().any(|(id, _)| *id == plan).then(|| "<IsAddon>false</IsAddon>".into()),
            }),
            "GetMyPackages" => Ok(Some(self.listed(|space| space.user == int("userId")))),
            "GetPackagePackages" => Ok(Some(self.listed(|space| space.parent == int("packageId")))),
            "GetPackage" => {
                let id = int("packageId");
                if let Some(left) = self.leaving.get_mut(&id) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        self.leaving.remove(&id);
                        self.remove_space(id);
                    }
                }
                Ok(self.spaces.get(&id).map(|space| space.xml(id, true)))
            }
            "GetPackageContext" => Ok(Some(
                "<QuotasArray><QuotaValueInfo><QuotaAllocatedValue>-1</QuotaAllocatedValue><QuotaUsedValue>4096</QuotaUsedValue>\
                 <QuotaName>VPS2012.Ram</QuotaName></QuotaValueInfo><QuotaValueInfo><QuotaAllocatedValue>0</QuotaAllocatedValue>\
                 <QuotaName>VPS2012.PauseResumeAllowed</QuotaName></QuotaValueInfo></QuotasArray>"
                    .into(),
            )),
            "GetPackageBandwidth" => Ok(Some(data_set(""))),
            "AddPackageWithResources" => {
                let (user, plan) = (int("userId"), int("planId"));
                let parent = self.plans[&plan];
                let id = self.next;
                self.next += 1;
                let (name, comments) = (text("spaceName"), String::new());
                self.spaces.insert(id, Space { user, parent, status: 1, plan, name, comments });
                if self.assigns_at_once {
                    self.move_addresses(parent, id, self.address_quota);
                }
                Ok(Some(format!("<Result>{id}</Result>")))
            }
            "UpdatePackageName" => {
                let space = self.spaces.get_mut(&int("packageId")).unwrap();
                space.name = text("packageName");
                space.comments = text("packageComments");
                number(0)
            }
            "UpdatePackageLiteral" => {
                let space = self.spaces.get_mut(&int("packageId")).unwrap();
                space.plan = int("planId");
                space.comments = text("packageComments");
                Ok(Some("<Result>0</Result>".into()))
            }
            "ChangePackageStatus" => {
                let status = if text("status") == "Suspended" { 2 } else { 1 };
                let (id, is_ignored) = (int("packageId"), self.ignores_status);
                let Some(space) = self.spaces.get_mut(&id) else { return number(-1) };
                if !is_ignored && space.status != status {
                    space.status = status;
                    for machine in self.machines.values_mut().filter(|machine| machine.space == id) {
                        machine.state = if status == 1 { "Running" } else { "Off" }.into();
                    }
                }
                number(0)
            }
            "DeletePackage" => {
                let id = int("packageId");
                if !self.spaces.contains_key(&id) {
                    return number(-300);
                }
                self.leaving.insert(id, self.slowness);
                if self.slowness == 0 {
                    self.leaving.remove(&id);
                    self.remove_space(id);
                }
                number(0)
            }
            "GetPackageAddons" => {
                let rows: String = self.addons.iter().map(|(id, plan, quantity)| {
                    format!("<Table><PackageAddonID>{id}</PackageAddonID><PlanID>{plan}</PlanID><Quantity>{quantity}</Quantity></Table>")
                }).collect();
                Ok(Some(data_set(&rows)))
            }
            "AddPackageAddonById" => {
                let id = 40 + i64::try_from(self.addons.len()).unwrap();
                self.addons.push((id, int("addonPlanId"), int("quantity")));
                Ok(Some(format!("<Result>{id}</Result>")))
            }
            "GetPackageUnassignedIPAddresses" => Ok(Some(self.address_rows(|a| a.space == int("packageId") && a.item == 0))),
            "GetPackageIPAddresses" => {
                let rows = self.address_rows(|a| a.space == int("packageId"));
                Ok(Some(format!("<Items>{rows}</Items><Count>0</Count>")))
            }
            "AllocatePackageIPAddresses" => {
                let (id, count) = (int("packageId"), usize::try_from(int("addressesNumber")).unwrap());
                let owned = self.addresses.values().filter(|address| address.space == id).count();
                if owned + count > self.address_quota {
                    return Ok(Some(refused("IP_ADDRESSES_QUOTA_LIMIT_REACHED")));
                }
                let parent = self.spaces[&id].parent;
                if self.addresses.values().filter(|a| a.space == parent && a.item == 0).count() < count {
                    return Ok(Some(refused("IP_ADDRESSES_POOL_IS_EMPTY")));
                }
                self.move_addresses(parent, id, count);
                Ok(Some(success("")))
            }
            "GetMemoryPackageId" | "GetSystemMemoryInfoPackageId" => {
                let is_new = operation == "GetSystemMemoryInfoPackageId";
                if is_new != self.is_152 {
                    return Err("Server did not recognize the value of HTTP Header SOAPAction: x".into());
                }
                let free = self.memory_mb.get(&int("packageId")).ok_or("the node is down")? * 1_024;
                let name = if is_new { "FreePhysicalKB" } else { "FreePhysicalMemoryKB" };
                Ok(Some(format!("<{name}>{free}</{name}>")))
            }
            "GetOperatingSystemTemplates" => Ok(Some(
                "<LibraryItem><Path>WIN2022.vhdx</Path><Name>Windows Server 2022</Name><DiskSize>30</DiskSize></LibraryItem>".into(),
            )),
            "GetTask" => Ok(Some("<IndicatorCurrent>50</IndicatorCurrent><IndicatorMaximum>100</IndicatorMaximum>".into())),
            _ => self.machine_result(operation, call),
        }
    }

    fn machine_result(&mut self, operation: &str, call: Node<'_>) -> Result<Option<String>, String> {
        let int = |name: &str| call.child(name).unwrap().i64().unwrap();
        let text = |name: &str| call.child(name).unwrap().text().unwrap().to_owned();
        match operation {
            "GetVirtualMachines" => {
                let (id, is_deep) = (int("packageId"), text("recursive") == "true");
                let mut rows = String::new();
                for (item, machine) in &self.machines {
                    if machine.space != id && !(is_deep && self.spaces[&machine.space].parent == id) {
                        continue;
                    }
                    write!(rows, "<VirtualMachineMetaItem><ItemID>{item}</ItemID><ItemName>{}</ItemName><PackageId>{}</PackageId>\
                        <Username>svc10042</Username><ExternalIP>203.0.113.10</ExternalIP></VirtualMachineMetaItem>",
                        machine.name, machine.space).unwrap();
                }
                return Ok(Some(format!("<Items>{rows}</Items><Count>0</Count>")));
            }
            "GetVirtualMachineItem" => return Ok(self.look_at(int("itemId"))),
            "CreateNewVirtualMachine" => return Ok(Some(self.make(call))),
            _ => {}
        }
        let id = int("itemId");
        let Some(machine) = self.machines.get_mut(&id) else {
            return Ok(match operation {
                "GetVirtualMachineGeneralDetails" => None,
                _ => Some(refused("VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM")),
            });
        };
        let is_active = self.spaces[&machine.space].status == 1;
        if operation == "GetVirtualMachineGeneralDetails" {
            return Ok((machine.provisioning == "OK" && machine.busy == 0).then(|| machine.details(id)));
        }
        if operation == "GetVirtualMachineGuacamoleURL" {
            return Ok(Some(self.console.into()));
        }
        if !is_active {
            return Ok(Some(refused("ERROR_PACKAGE_SUSPENDED")));
        }
        match operation {
            "ChangeVirtualMachineState" => {
                match text("state").as_str() {
                    "Start" | "Resume" => {
                        machine.state = "Running".into();
                        machine.starts += 1;
                        machine.uptime = 0;
                    }
                    "TurnOff" | "ShutDown" => machine.state = "Off".into(),
                    "Reboot" | "Reset" => {
                        machine.starts += 1;
                        machine.uptime = 1_000;
                    }
                    other => panic!("{other}"),
                }
                Ok(Some(
                    "<IsSuccess>true</IsSuccess><ErrorCodes><string>VPS_JOB_START_ERROR:JobStarted</string></ErrorCodes>".into(),
                ))
            }
            "ChangeAdministratorPassword" => {
                machine.password = text("password");
                Ok(Some(success("")))
            }
            "UpdateVirtualMachineResource" => {
                let settings = call.child("vmSettings").unwrap();
                assert_eq!(settings.child("ExternalNetworkEnabled").unwrap().text(), Ok("true"));
                assert_eq!(settings.child("VirtualHardDrivePath").unwrap().children().count(), 1);
                machine.cores = settings.child("CpuCores").unwrap().i64().unwrap();
                machine.memory = settings.child("RamSize").unwrap().i64().unwrap();
                machine.disks = settings.child("HddSize").unwrap().children().map(|size| size.i64().unwrap()).collect();
                Ok(Some(success("")))
            }
            "ReinstallVirtualMachine" => {
                let settings = call.child("VMSettings").unwrap();
                machine.template = settings.child("OperatingSystemTemplate").unwrap().text().unwrap().into();
                machine.password = text("adminPassword");
                machine.guid += 1;
                machine.busy = self.slowness;
                Ok(Some(success("<Value>0</Value>")))
            }
            "DeleteVirtualMachineAsynchronous" => {
                machine.provisioning = "DeletionProgress";
                machine.busy = self.slowness.max(1);
                Ok(Some(success("")))
            }
            other => panic!("{other}"),
        }
    }

    /// A read of a machine; background work goes on with each.
    fn look_at(&mut self, id: i64) -> Option<String> {
        let machine = self.machines.get_mut(&id)?;
        if machine.busy > 0 {
            machine.busy -= 1;
            if machine.busy == 0 {
                if machine.provisioning == "DeletionProgress" {
                    self.machines.remove(&id);
                    self.addresses.values_mut().filter(|a| a.item == id).for_each(|a| a.item = 0);
                    return None;
                }
                machine.provisioning = self.outcome;
            }
        }
        Some(self.machines[&id].xml(id))
    }

    fn make(&mut self, call: Node<'_>) -> String {
        let settings = call.child("VMSettings").unwrap();
        let of = |name: &str| settings.child(name).unwrap().text().unwrap().to_owned();
        let space: i64 = of("PackageId").parse().unwrap();
        assert_eq!(of("PauseResumeAllowed"), "false", "the plan forbids it");
        for list in ["externalAddresses", "privateAddresses", "dmzAddresses"] {
            assert!(call.find(list).is_some(), "a missing list crashes the panel");
        }
        if self.machines.values().any(|machine| machine.space == space) {
            return refused("VPS_QUOTA_EXCEEDED_SERVERS_NUMBER:1");
        }
        let wanted = usize::try_from(call.child("externalAddressesNumber").unwrap().i64().unwrap()).unwrap();
        let chosen: Vec<i64> =
            call.child("externalAddresses").unwrap().children().map(|id| id.i64().unwrap() - 1_000).collect();
        let vlan: i64 = of("defaultaccessvlan").parse().unwrap();
        let id = 753;
        let free = self.addresses.iter_mut().filter(|(n, a)| {
            a.space == space && a.item == 0 && a.vlan == vlan && (chosen.is_empty() || chosen.contains(n))
        });
        free.take(wanted).for_each(|(_, address)| address.item = id);
        let machine = Machine {
            cores: of("CpuCores").parse().unwrap(),
            memory: of("RamSize").parse().unwrap(),
            disks: settings.child("HddSize").unwrap().children().map(|size| size.i64().unwrap()).collect(),
            provisioning: if self.slowness == 0 { self.outcome } else { "InProgress" },
            busy: self.slowness,
            password: call.child("password").unwrap().text().unwrap().into(),
            may_reinstall: of("ReinstallAllowed") == "true",
            ..machine(space, &of("Name"))
        };
        self.machines.insert(id, machine);
        success(&format!("<Value>{id}</Value>"))
    }

    fn move_addresses(&mut self, from: i64, to: i64, count: usize) {
        let free = self.addresses.values_mut().filter(|address| address.space == from && address.item == 0);
        free.take(count).for_each(|address| address.space = to);
    }

    fn remove_space(&mut self, id: i64) {
        let parent = self.spaces.remove(&id).unwrap().parent;
        assert!(self.machines.values().all(|machine| machine.space != id), "a machine lives on unseen");
        self.addresses
            .values_mut()
            .filter(|a| a.space == id)
            .for_each(|a| *a = Address { vlan: a.vlan, space: parent, item: 0 });
    }

    fn listed(&self, is_in: impl Fn(&Space) -> bool) -> String {
        self.spaces.iter().filter(|(_, space)| is_in(space)).fold(String::new(), |mut out, (id, space)| {
            write!(out, "<PackageInfo>{}</PackageInfo>", space.xml(*id, false)).unwrap();
            out
        })
    }

    fn address_rows(&self, is_in: impl Fn(&Address) -> bool) -> String {
        self.addresses.iter().filter(|(_, address)| is_in(address)).fold(String::new(), |mut out, (n, address)| {
            write!(out, "<PackageIPAddress><PackageAddressID>{}</PackageAddressID><AddressID>{n}</AddressID>\
                <ExternalIP>203.0.113.{n}</ExternalIP><ItemId>{}</ItemId><IsPrimary>{}</IsPrimary><VLAN>{}</VLAN></PackageIPAddress>",
                1_000 + n, address.item, n % 2 == 1, address.vlan).unwrap();
            out
        })
    }
}

impl User {
    fn xml(&self, id: i64) -> String {
        format!(
            "<RoleId>{}</RoleId><StatusId>{}</StatusId><UserId>{id}</UserId><OwnerId>{}</OwnerId><IsPeer>{}</IsPeer>\
             <IsDemo>false</IsDemo><Comments>{}</Comments><Username>{}</Username><NewMember>x</NewMember>",
            self.role, self.status, self.owner, self.is_peer, self.comments, self.name
        )
    }
}

impl Space {
    /// Comments come only with a space that is asked for by itself.
    fn xml(&self, id: i64, is_whole: bool) -> String {
        let comments =
            if is_whole { format!("<PackageComments>{}</PackageComments>", self.comments) } else { String::new() };
        format!(
            "<PackageId>{id}</PackageId><UserId>{}</UserId><ParentPackageId>{}</ParentPackageId><StatusId>{}</StatusId>\
             <PlanId>{}</PlanId><PurchaseDate>2025-01-15T10:00:01.337</PurchaseDate><PackageName>{}</PackageName>{comments}",
            self.user, self.parent, self.status, self.plan, self.name
        )
    }
}

impl Machine {
    fn xml(&self, id: i64) -> String {
        let disks: String = self.disks.iter().map(|size| format!("<int>{size}</int>")).collect();
        let task = if self.busy > 0 { "<CurrentTaskId>task-1</CurrentTaskId>" } else { "" };
        format!(
            "<Id>{id}</Id><PackageId>{}</PackageId><Name>{}</Name><VirtualMachineId>guid-{}</VirtualMachineId>\
             <VirtualHardDrivePath><string>D:\\VMs\\disk.vhdx</string></VirtualHardDrivePath>\
             <OperatingSystemTemplate>{}</OperatingSystemTemplate><OperatingSystemTemplatePath>D:\\T</OperatingSystemTemplatePath>\
             <AdministratorPassword>{}</AdministratorPassword>{task}<ProvisioningStatus>{}</ProvisioningStatus>\
             <CpuCores>{}</CpuCores><RamSize>{}</RamSize><HddSize>{disks}</HddSize><RebootAllowed>true</RebootAllowed>\
             <ResetAllowed>{}</ResetAllowed><ReinstallAllowed>{}</ReinstallAllowed><ExternalNetworkEnabled>true</ExternalNetworkEnabled>",
            self.space,
            self.name,
            self.guid,
            self.template,
            escaped(&self.password),
            self.provisioning,
            self.cores,
            self.memory,
            self.may_reset,
            self.may_reinstall,
        )
    }

    fn details(&self, id: i64) -> String {
        format!(
            "<Id>{id}</Id><PackageId>-1</PackageId><State>{}</State><Uptime>{}</Uptime><CpuUsage>3</CpuUsage>\
             <RamUsage>2100</RamUsage><RamSize>{}</RamSize>",
            self.state, self.uptime, self.memory
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn success(more: &str) -> String {
    format!("<IsSuccess>true</IsSuccess><ErrorCodes/>{more}")
}

fn refused(code: &str) -> String {
    format!("<IsSuccess>false</IsSuccess><ErrorCodes><string>{code}</string></ErrorCodes><Value>0</Value>")
}

fn data_set(rows: &str) -> String {
    let data = if rows.is_empty() { String::new() } else { format!("<NewDataSet xmlns=\"\">{rows}</NewDataSet>") };
    format!(
        "<xs:schema id=\"NewDataSet\" xmlns=\"\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"><xs:element name=\"Table\"/></xs:schema>\
         <diffgr:diffgram xmlns:diffgr=\"urn:schemas-microsoft-com:xml-diffgram-v1\">{data}</diffgr:diffgram>"
    )
}

fn soap_fault(text: &str) -> Scripted {
    xml(
        500,
        format!(
            "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault>\
             <faultcode>soap:Server</faultcode><faultstring>{text}</faultstring><detail/></soap:Fault></soap:Body></soap:Envelope>"
        ),
    )
}
