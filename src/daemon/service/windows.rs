//! A task for the Windows Task Scheduler, and the commands for the service wrapper NSSM.

use super::{Scope, Service, xml};

/// Returns the XML that `schtasks /Create /XML` reads.
#[must_use]
pub fn task_xml(service: &Service) -> String {
    let program = xml(&service.program.to_string_lossy());
    let arguments = xml(&format!("--home \"{}\" --daemon", service.home.display()));
    let (trigger, principal) = match &service.scope {
        Scope::User => (
            "LogonTrigger",
            "<LogonType>InteractiveToken</LogonType>".to_owned(),
        ),
        Scope::System { user } => (
            "BootTrigger",
            format!(
                "<UserId>{}</UserId>\n      <LogonType>S4U</LogonType>",
                xml(user)
            ),
        ),
    };
    format!(
        "\
<?xml version=\"1.0\"?>
<Task version=\"1.4\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">
  <RegistrationInfo>
    <Description>llama-orch, which looks after llama-servers</Description>
  </RegistrationInfo>
  <Triggers>
    <{trigger}>
      <Enabled>true</Enabled>
    </{trigger}>
  </Triggers>
  <Principals>
    <Principal id=\"Author\">
      {principal}
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context=\"Author\">
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"
    )
}

/// Returns the commands that make a service of it with NSSM, for an elevated prompt.
#[must_use]
pub fn nssm_commands(service: &Service) -> String {
    let name = &service.name;
    let program = service.program.display();
    let home = service.home.display();
    // AppKillProcessTree: ending the supervisor ends no llama-server.
    let mut lines = vec![
        format!("nssm install {name} \"{program}\""),
        format!("nssm set {name} AppParameters \"--home \\\"{home}\\\" --daemon\""),
        format!("nssm set {name} AppDirectory \"{home}\""),
        format!("nssm set {name} AppStderr \"{home}\\logs\\daemon\\nssm.log\""),
        format!("nssm set {name} AppExit Default Restart"),
        format!("nssm set {name} AppRestartDelay 5000"),
        format!("nssm set {name} AppKillProcessTree 0"),
        format!("nssm set {name} Start SERVICE_AUTO_START"),
    ];
    if let Scope::System { user } = &service.scope {
        lines.push(format!("nssm set {name} ObjectName \".\\{user}\" PASSWORD"));
    }
    lines.push(format!("nssm start {name}"));
    lines.join("\n") + "\n"
}
