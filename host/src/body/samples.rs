//! Invented bodies of the shapes that the module log stores, for training the dictionary and for tests.
//!
//! Each template is one shape; the words behind `@` are filled with random values of their kind. Nothing here was ever
//! sent by a panel or a customer.

/// `count` bodies, the same for the same `seed`, the shapes in turn.
pub(crate) fn bodies(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice(seed);
    let shapes = TEMPLATES.iter().cycle().take(count);
    shapes.map(|template| fill(template, &mut dice).into_bytes()).collect()
}

/// One hook as billing sends it, about 1.6 KB.
pub(crate) fn hook_body(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let options: Vec<String> =
        (0..24).map(|n| fill(&format!(r#""custom_@word_{n}":"@word @word-@n""#), &mut dice)).collect();
    let head = fill(HOOK_CREATE, &mut dice);
    head.replace(r#""extra_ipv4":"#, &format!(r#"{},"extra_ipv4":"#, options.join(","))).into_bytes()
}

/// One server as a panel answers, about 4.5 KB.
pub(crate) fn server_body(seed: u64) -> Vec<u8> {
    fill(VIRTFUSION_SERVER, &mut Dice(seed)).into_bytes()
}

/// Joins the lines of a template and puts a value for each `@kind`.
fn fill(template: &str, dice: &mut Dice) -> String {
    let flat: String = template.lines().map(str::trim_start).collect();
    let mut parts = flat.split('@');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(part.len());
        let (kind, rest) = part.split_at(end);
        out.push_str(&dice.value(kind));
        out.push_str(rest);
    }
    out
}

/// A small generator of its own: the dictionary must come out the same wherever it is trained.
struct Dice(u64);

impl Dice {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn value(&mut self, kind: &str) -> String {
        match kind {
            "n" => self.below(1_000).to_string(),
            "id" => self.below(100_000).to_string(),
            "bit" => self.below(2).to_string(),
            "bool" => self.of(&["true", "false", "false"]).to_owned(),
            "size" => {
                self.of(&["0", "1", "2", "4", "8", "20", "512", "1024", "2048", "4096", "8192", "20000"]).to_owned()
            }
            "mask" => format!("‹masked:{:08x}›", self.next() as u32),
            "hex" => format!("{:016x}", self.next()),
            "ulid" => format!("01J{:023X}", u128::from(self.next()) * 7919),
            "uuid" => {
                let (a, b) = (self.next(), self.next());
                format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", a as u32, a >> 48, b & 0xfff, a >> 52, b >> 16)
            }
            "ip" => format!("{}.{}", self.of(&["192.0.2", "198.51.100", "203.0.113"]), self.below(255)),
            "net" => format!("2001:db8:{:x}:{:x}", self.below(0xffff), self.below(0xffff)),
            "mac" => {
                let m = self.next();
                format!(
                    "00:{:02X}:{:02X}:{:02X}:{:02X}:{:02X}",
                    m & 255,
                    m >> 8 & 255,
                    m >> 16 & 255,
                    m >> 24 & 255,
                    m >> 32 & 255
                )
            }
            "date" => format!("202{}-{:02}-{:02}", 4 + self.below(5), 1 + self.below(12), 1 + self.below(28)),
            "time" => format!("{:02}:{:02}:{:02}", self.below(24), self.below(60), self.below(60)),
            "host" => {
                format!("svc{}.{}", self.below(10_000), self.of(&["example.net", "example.com", "customer.example"]))
            }
            "email" => format!(
                "{}{}@{}",
                self.of(WORDS),
                self.below(100),
                self.of(&["acme.example", "mail.example", "example.org"])
            ),
            "user" => format!("{}{:02}", self.of(WORDS), self.below(100)),
            "os" => self
                .of(&["debian-12", "debian-13", "ubuntu-24.04", "almalinux-9", "rocky-9", "windows-2022"])
                .to_owned(),
            "hook" => self
                .of(&[
                    "create",
                    "suspend",
                    "unsuspend",
                    "terminate",
                    "renew",
                    "change_package",
                    "change_password",
                    "power",
                    "reinstall",
                ])
                .to_owned(),
            "state" => {
                self.of(&["queued", "running", "waiting", "succeeded", "failed", "complete", "pending"]).to_owned()
            }
            "word" => self.of(WORDS).to_owned(),
            other => panic!("no such kind: @{other}"),
        }
    }
}

const WORDS: &[&str] = &[
    "amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "iris", "juniper", "kestrel", "larch",
    "maple", "north", "opal", "pine", "quartz", "river", "slate", "tundra", "umber", "vale", "willow", "yarrow",
    "zephyr",
];

const HOOK_CREATE: &str = r#"{"service":{"id":"@id","client_id":"@n","username":"@user","domain":"@host"},
    "client":{"name":"@word @word","company":"@word GmbH","email":"@email","phone":"+49.30@id","language":"en",
    "address":{"line1":"@word street @n","line2":"","city":"@word","state":"","postcode":"@id","country":"DE"}},
    "product":{"id":"vps-@word","options":{"os":"@os","extra_ipv4":@bit,"hostname":"@host","backups":@bool,"ssh_keys":[]}},
    "billing":{"order":"@id","invoice":"@id","cycle":"monthly","amount":"@n.00","currency":"EUR","paid_until":"@date"},
    "password":"@mask"}"#;

const VIRTFUSION_SERVER: &str = r#"{"data":{"id":@id,"ownerId":@n,"hypervisorId":@n,"arch":1,"name":"@word @word","selfService":@bit,
    "selfServiceSettings":[],"hostname":"@host","commissionStatus":3,"uuid":"@uuid","state":"complete","migratable":true,
    "timezone":"_default","migrateLevel":0,"deleteLevel":0,"configLevel":0,"backupLevel":0,"elevated":false,"elevateId":null,
    "elevate":false,"destroyable":true,"rebuild":false,"suspended":@bool,"protected":false,"buildFailed":@bool,
    "primaryNetworkDhcp4":false,"primaryNetworkDhcp6":false,"built":"@dateT@time+00:00","created":"@dateT@time+00:00",
    "updated":"@dateT@time+00:00","traffic":{"public":{"countMethod":1,"currentPeriod":{"start":"@dateT00:00:00.000000Z",
    "end":"@dateT23:59:59.999999Z","limit":@size}}},"settings":{"osTemplateInstall":true,"osTemplateInstallId":@n,
    "encryptedPassword":"@mask","decryptedPassword":"@mask","backupPlan":null,"uefi":@bool,"uefiType":0,"cloudInit":true,
    "cloudInitType":1,"config":[],"userConfig":[],"bootOrder":["hd","cdrom"],"tpmType":0,"networkBoot":false,"bootMenu":1,
    "customISO":1,"securityDriver":3,"memBalloon":{"model":1,"autoDeflate":0,"freePageReporting":0},"hyperv":{"enabled":@bool,
    "passthrough":false,"relaxed":0,"vapic":0,"spinlocks":0,"vpindex":0,"runtime":0,"synic":0,"stimer":0,"reset":0,"vendorId":0,
    "frequencies":0,"reenlightenment":0,"tlbflush":0,"ipi":0,"evmcs":0,"vendorIdValue":"KVM VM","spinlocksValue":8191,
    "clockEnabled":0},"extended":[],"machineType":"inherit","pciPorts":16,"resources":{"memory":@size,"storage":@size,
    "traffic":@size,"cpuCores":@size}},"cpu":{"cores":@size,"type":"inherit","typeExact":"host-model","shares":1024,"throttle":0,
    "topology":{"enabled":false,"sockets":1,"cores":1,"threads":1,"dies":1}},"customXML":{"domain":{"xml":"","enabled":false},
    "os":{"xml":"","enabled":false},"devices":{"xml":"","enabled":false},"features":{"xml":"","enabled":false},
    "clock":{"xml":"","enabled":false},"cpuTune":{"xml":"","enabled":false}},"qemuCommandline":[],"qemuAgent":{"os":[]},
    "media":{"isoMounted":false,"isoType":"local","isoName":"","isoFilename":"","isoUrl":"","isoDownload":false},
    "backupPlan":{"id":null,"name":null},"vnc":{"ip":"@ip","port":@id,"enabled":false,"password":"@mask"},
    "network":{"interfaces":[{"id":@id,"order":1,"enabled":true,"tag":@id,"name":"eth0","type":"public","driver":1,
    "processQueues":null,"mac":"@mac","ipv4ToMac":null,"ipv6ToMac":null,"inTrafficCount":true,"outTrafficCount":true,"inAverage":0,
    "inPeak":0,"inBurst":0,"outAverage":0,"outPeak":0,"outBurst":0,"ipFilter":false,"vlans":[],"ipFilterType":null,
    "portIsolated":false,"ipv4_resolver_1":1,"ipv4_resolver_2":2,"ipv6_resolver_1":1,"ipv6_resolver_2":2,"networkProfile":0,
    "dhcpV4":0,"dhcpV6":0,"firewallEnabled":false,"hypervisorNetwork":@n,"isNat":false,"nat":false,"firewall":[],
    "hypervisorConnectivity":{"id":@n,"type":"simpleBridge","bridge":"br0","mtu":null,"primary":true,"default":true},
    "ipWhitelist":[],"actions":[],"ipv4":[{"id":@id,"order":1,"enabled":true,"blockId":@n,"address":"@ip","gateway":"@ip",
    "netmask":"255.255.255.0","resolver1":"@ip","resolver2":"@ip","rdns":null,"mac":null}],"ipv6":[{"id":@id,"block":{"id":@n,
    "name":"@word"},"order":1,"enabled":true,"addresses":[],"addressesDetailed":[],"subnet":"@net::","cidr":80,"exhausted":false,
    "gateway":"@net::1","resolver1":"@net::53","resolver2":"@net::54","routeNet":false}]}],"secondaryInterfaces":[]},
    "storage":[{"_id":1,"id":@id,"drive":"a","capacity":@size,"filesystem":null,"enabled":true,"primary":true,"bus":"virtio",
    "cache":null,"discard":null,"io":null,"iops_sec":null,"bytes_sec":null,"type":"qcow2","profile":0,"status":3,"local":true,
    "datastore":{"type":"mountpoint","id":@n,"path":"\/home\/vf-data\/disk"},"hypervisorStorageId":null,"name":"@uuid_1.img",
    "created":"@dateT@time+00:00"}],"hypervisorAssets":[],"hypervisor":{"id":@n,"ip":"@ip","hostname":null,"port":8892,
    "name":"@word","maintenance":false,"group":{"id":@n,"name":"@word","icon":null,"default":true}},"owner":{"id":@n,"admin":false,
    "extRelationId":@id,"name":"@word @word","email":"@email","timezone":"UTC","suspended":false,"created":"@dateT@time+00:00"},
    "sharedUsers":[],"tasks":{"active":@bool,"lastOn":"@dateT@time+00:00","actions":{"pending":[]}},"os":{"id":@n,
    "name":"@os","distro":"@os","type":"linux","icon":"linux_logo.png"}}}"#;

/// Several shapes more than once: what is frequent in a log should weigh more in the dictionary.
const TEMPLATES: &[&str] = &[
    HOOK_CREATE,
    VIRTFUSION_SERVER,
    // Hooks and our own answers.
    r#"{"service":{"id":"@id","client_id":"@n"},"reason":"invoice @id is overdue since @date"}"#,
    r#"{"service":{"id":"@id"},"paid_until":{"from":"@date","to":"@date"},"product":{"id":"vps-@word","options":{}}}"#,
    r#"{"service":{"id":"@id","client_id":"@n","username":"@user","domain":"@host"},"password":"@mask"}"#,
    r#"{"service":{"id":"@id"},"product":{"id":"vps-@word","options":{"os":"@os","extra_ipv4":@bit}},"action":"restart"}"#,
    r#"{"operation":{"id":"op_@ulid","hook":"@hook","state":"@state","attempts":@bit,"created_at":"@dateT@time.@nZ",
        "finished_at":null,"steps":[{"name":"user","state":"done"},{"name":"server","state":"done"},{"name":"build","state":"begun"}],
        "percent":@n,"retry_after_ms":5000},"result":{"remote_id":"@id","ips":["@ip"],"properties":{"panel_user":"@user"},
        "secrets":{"root_password":"@mask"}},"message":{"staff":"server @id was created","customer":"Your server is ready."},
        "log_ref":"op_@ulid"}"#,
    r#"{"type":"about:blank","title":"the request is not valid","status":422,"detail":"@word is missing","fault":"invalid_input",
        "errors":[{"path":"/product/options/@word","message":"is not one of the allowed values"}]}"#,
    // VirtFusion: the smaller requests and answers.
    r#"{"packageId":@n,"userId":@id,"hypervisorId":@n,"ipv4":@bit,"storage":@size,"traffic":@size,"memory":@size,"cpuCores":@size,
        "networkSpeedInbound":@size,"networkSpeedOutbound":@size,"networkProfile":0,"storageProfile":0}"#,
    r#"{"operatingSystemId":@n,"name":"@word @word","hostname":"@host","sshKeys":[],"vnc":@bool,"ipv6":@bool,"email":@bool,"swap":@size}"#,
    r#"{"data":{"id":@id,"ownerId":@n,"hypervisorId":@n,"name":"@word @word","hostname":null,"commissionStatus":0,"uuid":"@uuid",
        "state":"allocated","suspended":false,"protected":false,"buildFailed":false,"created":"@dateT@time+00:00",
        "updated":"@dateT@time+00:00","settings":{"encryptedPassword":"@mask","resources":{"memory":@size,"storage":@size,
        "traffic":@size,"cpuCores":@size}}}}"#,
    r#"{"data":{"id":@id,"admin":false,"extRelationId":@id,"name":"@word @word","email":"@email","timezone":"Europe\/Berlin",
        "suspended":false,"twoFactorAuth":false,"created":"@dateT@time+00:00","updated":"@dateT@time+00:00","password":"@mask"}}"#,
    r#"{"name":"@word @word","email":"@email","extRelationId":@id,"sendMail":false,"selfService":0}"#,
    r#"{"data":{"authentication":{"endpoint":"\/token_authenticate\/","endpoint_complete":"@mask",
        "tokens":{"1":"@mask","2":"@mask"},"expiry":{"ttl":60,"expires":"@dateT@time.000000Z"}}}}"#,
    r#"{"data":{"queueId":@id,"id":@id,"action":"@hook","started":"@dateT@time+00:00","finished":null,"progress":@n,"failed":false}}"#,
    r#"{"current_page":1,"data":[{"id":@id,"ownerId":@n,"hypervisorId":@n,"name":"@word @word","hostname":"@host","uuid":"@uuid",
        "state":"complete","suspended":@bool,"built":"@dateT@time+00:00","created":"@dateT@time+00:00"},{"id":@id,"ownerId":@n,
        "hypervisorId":@n,"name":"@word @word","hostname":"@host","uuid":"@uuid","state":"complete","suspended":@bool,
        "built":null,"created":"@dateT@time+00:00"}],"first_page_url":"https:\/\/@host\/api\/v1\/servers?page=1","from":1,
        "last_page":@n,"last_page_url":"https:\/\/@host\/api\/v1\/servers?page=@n","links":[],
        "next_page_url":"https:\/\/@host\/api\/v1\/servers?page=2","path":"https:\/\/@host\/api\/v1\/servers","per_page":20,
        "prev_page_url":null,"to":20,"total":@n}"#,
    r#"{"data":[{"id":@n,"name":"@word","enabled":true,"description":null,"memory":@size,"primaryStorage":@size,"traffic":@size,
        "cpuCores":@size,"primaryNetworkSpeedIn":0,"primaryNetworkSpeedOut":0,"primaryDiskType":"inherit","backupPlanId":0},
        {"id":@n,"name":"@word","enabled":true,"description":null,"memory":@size,"primaryStorage":@size,"traffic":@size}]}"#,
    r#"{"msg":"The given data was invalid.","errors":{"packageId":["The selected package id is invalid."]}}"#,
    r#"{"message":"Unauthenticated."}"#,
    r#"{"message":"Server Error"}"#,
    r#"{"message":"Too Many Attempts."}"#,
    r#"{"info":["The change of the package was accepted."]}"#,
    // SOAP: requests, answers, faults.
    r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"
         xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>
        <ChangeVirtualMachineState xmlns="http://smbsaas/solidcp/enterpriseserver"><itemId>@id</itemId><state>ShutDown</state>
        </ChangeVirtualMachineState></soap:Body></soap:Envelope>"#,
    r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"
         xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soap:Body>
        <AddUser xmlns="http://smbsaas/solidcp/enterpriseserver"><user><RoleId>3</RoleId><Role>User</Role><StatusId>1</StatusId>
        <Status>Active</Status><UserId>0</UserId><OwnerId>@n</OwnerId><IsPeer>false</IsPeer><IsDemo>false</IsDemo>
        <Username>@user</Username><FirstName>@word</FirstName><LastName>@word</LastName><Email>@email</Email>
        <Address>@word street @n</Address><City>@word</City><Country>DE</Country><Zip>@id</Zip><HtmlMail>true</HtmlMail>
        <CompanyName>@word</CompanyName><EcommerceEnabled>false</EcommerceEnabled></user><sendLetter>false</sendLetter>
        <password>@mask</password></AddUser></soap:Body></soap:Envelope>"#,
    r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"
         xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
         xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"><soap:Header>
        <wsa:Action>http://smbsaas/solidcp/enterpriseserver/GetUserByUsernameResponse</wsa:Action>
        <wsa:MessageID>urn:uuid:@uuid</wsa:MessageID><wsa:RelatesTo>urn:uuid:@uuid</wsa:RelatesTo>
        <wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:To></soap:Header><soap:Body>
        <GetUserByUsernameResponse xmlns="http://smbsaas/solidcp/enterpriseserver"><GetUserByUsernameResult><UserId>@id</UserId>
        <OwnerId>@n</OwnerId><RoleId>3</RoleId><Role>User</Role><StatusId>1</StatusId><Status>Active</Status>
        <Created>@dateT@time</Created><Changed>@dateT@time</Changed><IsDemo>false</IsDemo><IsPeer>false</IsPeer>
        <Username>@user</Username><FirstName>@word</FirstName><LastName>@word</LastName><Email>@email</Email>
        </GetUserByUsernameResult></GetUserByUsernameResponse></soap:Body></soap:Envelope>"#,
    r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>
        <CreateVirtualMachineResponse xmlns="http://smbsaas/solidcp/enterpriseserver"><CreateVirtualMachineResult>
        <IsSuccess>true</IsSuccess><ErrorCodes /><Value>@id</Value></CreateVirtualMachineResult></CreateVirtualMachineResponse>
        </soap:Body></soap:Envelope>"#,
    r#"<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"
         xmlns:ns1="urn:apnscp" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
         SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><SOAP-ENV:Body><ns1:admin_add_site><domain
         xsi:type="xsd:string">@host</domain><admin xsi:type="xsd:string">@user</admin></ns1:admin_add_site></SOAP-ENV:Body>
        </SOAP-ENV:Envelope>"#,
    r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>
        <soap:Fault><faultcode>soap:Server</faultcode><faultstring>the item @id was not found</faultstring><detail />
        </soap:Fault></soap:Body></soap:Envelope>"#,
    // COREmanager XML and its forms.
    "func=server.edit&elid=@id&sok=ok&mac=@mac&name=@user&notes=%5Bsvc%3A@id%20op%3A@hex%5D&type=@n&owner=@n&out=xml&auth=@mask",
    "func=user.edit&sok=ok&level=lvUser&name=@user&passwd=@mask&confirm=@mask&out=xml&auth=@mask",
    r#"<?xml version="1.0" encoding="UTF-8"?><doc lang="en" func="server" binary="/dcimgr" host="https://@host" features="@hex"
         notify=""><metadata name="server" type="list"/><elem><id>@id</id><name>@user</name><type>@word</type><ip>@ip</ip>
        <mac>@mac</mac><owner>@user</owner><ipmi_on/><status>@state</status><notes>[svc:@id op:@hex]</notes></elem><elem><id>@id</id>
        <name>@user</name><type>@word</type><ip>@ip</ip><mac>@mac</mac><owner>@user</owner></elem></doc>"#,
    r#"<?xml version="1.0" encoding="UTF-8"?><doc lang="en" func="server.edit"><error type="value" object="elid" lang="en">
        <param name="object" type="msg" msg="@word"/><param name="value">@id</param><msg>the value is wrong</msg></error></doc>"#,
    // ROOTPANEL's forms and answers.
    "command=createOrder&login=@user&apikey=@mask&json=1&package=@n&period=@n&domain=@host&os=@n&promo=@word",
    "command=renewOrder&login=@user&apikey=@mask&json=1&id=@id&period=@n",
    r#"{"result":"ok","error":0,"id":"@id","status":"@state","package":"@n","domain":"@host","ip":"@ip","login":"@user",
        "password":"@mask","todate":"@date","price":"@n.00","currency":"EUR","balance":"@n.00"}"#,
    r#"{"result":"error","error":@n,"message":"the balance is too low"}"#,
    // What stands between us and a panel.
    "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n<hr><center>nginx</center>\n</body>\n</html>\n",
    HOOK_CREATE,
    VIRTFUSION_SERVER,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_what_they_claim_to_be() {
        for body in bodies(1, TEMPLATES.len()) {
            let text = String::from_utf8(body).expect("text");
            assert!(!text.contains("\n    "), "{text}");
            if text.starts_with('{') {
                serde_json::from_str::<serde_json::Value>(&text).expect(&text);
            }
        }
        assert!((1_500..2_000).contains(&hook_body(1).len()), "{}", hook_body(1).len());
        assert!((3_600..4_900).contains(&server_body(1).len()), "{}", server_body(1).len());
    }

    #[test]
    fn the_same_seed_gives_the_same_bodies() {
        assert_eq!(bodies(7, 100), bodies(7, 100));
        assert_ne!(bodies(7, 100), bodies(8, 100));
    }
}
