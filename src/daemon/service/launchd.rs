//! A property list for launchd on macOS.

use super::{Scope, Service, xml};

/// Returns the text of the property list.
#[must_use]
pub fn property_list(service: &Service) -> String {
    let label = xml(&service.name);
    let program = xml(&service.program.to_string_lossy());
    let home = xml(&service.home.to_string_lossy());
    let user = match &service.scope {
        Scope::User => String::new(),
        Scope::System { user } => {
            format!("  <key>UserName</key>\n  <string>{}</string>\n", xml(user))
        }
    };
    format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
  <key>Label</key>
  <string>{label}</string>
  <key>ProgramArguments</key>
  <array>
    <string>{program}</string>
    <string>--home</string>
    <string>{home}</string>
    <string>--daemon</string>
  </array>
{user}  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <!-- Ending the supervisor ends no llama-server. -->
  <key>AbandonProcessGroup</key>
  <true/>
  <key>SoftResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>65536</integer>
  </dict>
  <key>StandardErrorPath</key>
  <string>{home}/logs/daemon/launchd.log</string>
</dict>
</plist>
"
    )
}
