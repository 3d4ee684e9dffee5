mod examples;
mod life;
mod strict;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::schema::{NAMESPACE, SCHEMA};
use super::xml::{self, Element};
use super::*;
use crate::clock::ManualClock;
use crate::panel::client::{self, Reply};

/// A panel, its clock, and a client that does everything right unless told otherwise.
struct Bench {
    running: Running,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::default();
        let mut config = Config::at(&clock);
        change(&mut config);
        Self { running: SolidCp::start(config).unwrap(), clock }
    }

    fn panel(&self) -> &Panel {
        self.running.panel()
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    fn credentials(&self) -> String {
        let account = self.running.account();
        format!("{}:{}", account.username, account.password)
    }

    async fn post(&self, operation: &str, credentials: &str, body: &str) -> io::Result<Reply> {
        let service = SCHEMA.operations(None).find(|known| known.name == operation).map_or("esUsers", |op| op.service);
        let headers = [
            "content-type: text/xml; charset=utf-8".to_owned(),
            format!("soapaction: \"{NAMESPACE}/{operation}\""),
            format!("authorization: Basic {}", BASE64_STANDARD.encode(credentials)),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        client::send(self.running.address(), "POST", &format!("/{service}.asmx"), &headers, body).await
    }

    async fn try_call(&self, operation: &str, parameters: &str) -> io::Result<Reply> {
        self.post(operation, &self.credentials(), &envelope(operation, parameters)).await
    }

    /// The result, if there is one.
    async fn call(&self, operation: &str, parameters: &str) -> Option<Element> {
        let reply = self.try_call(operation, parameters).await.unwrap();
        assert_eq!(reply.status, 200, "{operation}: {}", String::from_utf8_lossy(&reply.body));
        result(operation, &reply.body)
    }

    async fn number(&self, operation: &str, parameters: &str) -> i32 {
        self.call(operation, parameters).await.unwrap().text.parse().unwrap()
    }

    /// Whether it succeeded, its first code up to the colon, and its value.
    async fn result(&self, operation: &str, parameters: &str) -> (bool, String, i32) {
        let result = self.call(operation, parameters).await.unwrap();
        let codes = result.child(NAMESPACE, "ErrorCodes").unwrap();
        let code = codes.children.first().map_or("", |code| code.text.split(':').next().unwrap());
        let value = result.child(NAMESPACE, "Value").map_or(0, |value| value.text.parse().unwrap());
        (text(&result, "IsSuccess") == "true", code.to_owned(), value)
    }

    async fn fault(&self, operation: &str, parameters: &str) -> String {
        let reply = self.try_call(operation, parameters).await.unwrap();
        assert_eq!(reply.status, 500, "{operation}: {}", String::from_utf8_lossy(&reply.body));
        String::from_utf8(reply.body).unwrap()
    }

    /// A user and a space on plan 11.
    async fn space(&self) -> (i32, i32) {
        let user = self.number("AddUser", &user("svc1007")).await;
        (user, self.space_of(user, 11).await)
    }

    async fn space_of(&self, user: i32, plan: i32) -> i32 {
        let made = self.call("AddPackageWithResources", &space(user, plan)).await.unwrap();
        text(&made, "Result").parse().unwrap()
    }

    /// The same with a machine that runs.
    async fn machine(&self) -> (i32, i32, i32) {
        let (user, space) = self.space().await;
        let (is_made, code, machine) =
            self.result("CreateNewVirtualMachine", &order(space, "h1007.vm.example.test", 0)).await;
        assert!(is_made, "{code}");
        self.pass(61_000);
        (user, space, machine)
    }

    fn state(&self) -> MachineView {
        self.panel().machines().pop().unwrap()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.panel().violations(), Vec::<String>::new());
        assert_eq!(self.panel().check(), Vec::<String>::new());
    }
}

fn envelope(operation: &str, parameters: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <{operation} xmlns=\"{NAMESPACE}\">{parameters}</{operation}></s:Body></s:Envelope>"
    )
}

fn result(operation: &str, body: &[u8]) -> Option<Element> {
    let envelope = xml::read(body).unwrap();
    let body = envelope.child("http://schemas.xmlsoap.org/soap/envelope/", "Body").unwrap();
    let response = body.child(NAMESPACE, &format!("{operation}Response")).unwrap();
    response.child(NAMESPACE, &format!("{operation}Result")).cloned()
}

fn text(element: &Element, name: &str) -> String {
    element.child(NAMESPACE, name).unwrap_or_else(|| panic!("no {name} in {element:?}")).text.clone()
}

/// The rows of a table of a DataSet: names and texts.
fn rows(set: &Element, table: &str) -> Vec<Vec<(String, String)>> {
    let diffgram = set.child("urn:schemas-microsoft-com:xml-diffgram-v1", "diffgram").unwrap();
    let Some(rows) = diffgram.child("", "NewDataSet") else { return Vec::new() };
    let rows = rows.children.iter().filter(|row| row.name == table);
    rows.map(|row| row.children.iter().map(|cell| (cell.name.clone(), cell.text.clone())).collect()).collect()
}

fn user(username: &str) -> String {
    format!(
        "<user><RoleId>3</RoleId><Role>User</Role><StatusId>1</StatusId><Status>Active</Status>\
         <LoginStatusId>0</LoginStatusId><LoginStatus>Enabled</LoginStatus><FailedLogins>0</FailedLogins>\
         <UserId>0</UserId><OwnerId>2</OwnerId><IsPeer>false</IsPeer><Created>2025-01-15T10:00:00</Created>\
         <Changed>2025-01-15T10:00:00</Changed><IsDemo>false</IsDemo><LastName>Doe</LastName>\
         <Username>{username}</Username><FirstName>Jane</FirstName><Email>jane@example.test</Email>\
         <HtmlMail>true</HtmlMail><EcommerceEnabled>false</EcommerceEnabled><MfaMode>0</MfaMode></user>\
         <sendLetter>false</sendLetter><password>S3cret-panel</password><notes />"
    )
}

fn space(user: i32, plan: i32) -> String {
    format!(
        "<userId>{user}</userId><planId>{plan}</planId><spaceName>svc-1007</spaceName><statusId>1</statusId>\
         <sendLetter>false</sendLetter><createResources>false</createResources><domainName />\
         <tempDomain>false</tempDomain><createWebSite>false</createWebSite>\
         <createFtpAccount>false</createFtpAccount><ftpAccountName /><createMailAccount>false</createMailAccount>\
         <hostName />"
    )
}

/// What a machine is ordered with, and what of it is written in other ways in some test.
fn settings(space: i32, name: &str, vlan: i32) -> String {
    format!(
        "<VMSettings><Id>0</Id><TypeId>0</TypeId><PackageId>{space}</PackageId><ServiceId>0</ServiceId>\
         <Name>{name}</Name><CreatedDate>2025-01-15T10:00:02</CreatedDate><State>Unknown</State><Uptime>0</Uptime>\
         <Heartbeat>None</Heartbeat><ProvisioningStatus>Unknown</ProvisioningStatus><CpuCores>2</CpuCores>\
         <CpuUsage>0</CpuUsage><RamSize>4096</RamSize><RamUsage>0</RamUsage><HddSize><int>60</int></HddSize>\
         <HddMaximumIOPS>0</HddMaximumIOPS><HddMinimumIOPS>0</HddMinimumIOPS><SnapshotsNumber>0</SnapshotsNumber>\
         <DvdDriveInstalled>false</DvdDriveInstalled><BootFromCD>false</BootFromCD>\
         <NumLockEnabled>false</NumLockEnabled><StartTurnOffAllowed>true</StartTurnOffAllowed>\
         <PauseResumeAllowed>true</PauseResumeAllowed><RebootAllowed>true</RebootAllowed>\
         <ResetAllowed>true</ResetAllowed><ReinstallAllowed>true</ReinstallAllowed>\
         <LegacyNetworkAdapter>false</LegacyNetworkAdapter><RemoteDesktopEnabled>false</RemoteDesktopEnabled>\
         <ExternalNetworkEnabled>true</ExternalNetworkEnabled><PrivateNetworkEnabled>false</PrivateNetworkEnabled>\
         <PrivateNetworkVlan>0</PrivateNetworkVlan><ManagementNetworkEnabled>false</ManagementNetworkEnabled>\
         <DmzNetworkEnabled>false</DmzNetworkEnabled><DmzNetworkVlan>0</DmzNetworkVlan>\
         <ReplicationState>Disabled</ReplicationState><Generation>0</Generation>\
         <EnableSecureBoot>false</EnableSecureBoot><ProcessorCount>0</ProcessorCount>\
         <defaultaccessvlan>{vlan}</defaultaccessvlan><NeedReboot>false</NeedReboot>\
         <IsClustered>false</IsClustered></VMSettings>"
    )
}

fn order(space: i32, name: &str, vlan: i32) -> String {
    format!(
        "{}<osTemplateFile>win2022.vhdx</osTemplateFile><password>S3cret-vm!</password>\
         <externalAddressesNumber>1</externalAddressesNumber><randomExternalAddresses>true</randomExternalAddresses>\
         <externalAddresses /><privateAddressesNumber>0</privateAddressesNumber>\
         <randomPrivateAddresses>false</randomPrivateAddresses><privateAddresses />\
         <dmzAddressesNumber>0</dmzAddressesNumber><randomDmzAddresses>false</randomDmzAddresses><dmzAddresses />",
        settings(space, name, vlan)
    )
}

fn item(id: i32) -> String {
    format!("<itemId>{id}</itemId>")
}

fn package(id: i32) -> String {
    format!("<packageId>{id}</packageId>")
}

fn status(id: i32, status: &str) -> String {
    format!("<packageId>{id}</packageId><status>{status}</status>")
}

fn page(id: i32, is_recursive: bool) -> String {
    format!(
        "<packageId>{id}</packageId><filterColumn /><filterValue /><sortColumn /><startRow>0</startRow>\
         <maximumRows>100</maximumRows><recursive>{is_recursive}</recursive>"
    )
}

fn addresses(id: i32) -> String {
    format!(
        "<packageId>{id}</packageId><orgId>0</orgId><pool>VpsExternalNetwork</pool><filterColumn /><filterValue />\
         <sortColumn /><startRow>0</startRow><maximumRows>1000</maximumRows><recursive>false</recursive>"
    )
}

fn allocation(id: i32, count: i32) -> String {
    format!(
        "<packageId>{id}</packageId><orgId>0</orgId><groupName>VPS2012</groupName><pool>VpsExternalNetwork</pool>\
         <allocateRandom>true</allocateRandom><addressesNumber>{count}</addressesNumber><addressId />"
    )
}

fn deletion(id: i32) -> String {
    format!("<itemId>{id}</itemId><saveFiles>false</saveFiles><exportVps>false</exportVps><exportPath />")
}
