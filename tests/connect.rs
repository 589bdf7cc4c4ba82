//! `connect`: what clients are told, and what a program is given.

use std::fs;

use serde_json::Value;

use crate::support::TestHome;

#[test]
fn lines_for_clients_lead_to_the_instance_and_hold_no_key() {
    let home = TestHome::new();
    home.simulated("plain", &[], "");
    home.simulated("shut", &["--api-key-file", "the-key"], "");
    home.simulated("inline", &["--api-key", "s3cret-inline"], "");
    fs::write(home.path().join("the-key"), "# ours\ns3cret-in-file\n").unwrap();
    let refused = home.run(&["connect", "plain"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (8, ""));
    assert!(refused.stderr.contains(" up plain"), "{}", refused.stderr);
    assert_eq!(home.run(&["connect", "nobody"]).code, 2);

    home.ok(&["up", "--all"]);
    let url = home.row("plain")["url"].as_str().unwrap().to_owned();
    let lines = home.ok(&["connect", "plain"]).stdout;
    let base = format!("export OPENAI_BASE_URL={url}/v1\n");
    assert!(lines.starts_with(&base), "{lines}");
    assert!(lines.contains("export OPENAI_API_KEY=none\n"), "{lines}");
    let file = home.ok(&["connect", "plain", "--for", "opencode"]).stdout;
    let file: Value = serde_json::from_str(&file).unwrap();
    let provider = &file["provider"]["llama-orch-plain"];
    assert_eq!(provider["options"]["baseURL"], format!("{url}/v1"));
    assert_eq!(provider["models"]["plain"]["limit"]["context"], 4096);

    for name in ["shut", "inline"] {
        for client in ["openai", "anthropic", "curl", "opencode"] {
            let ran = home.ok(&["connect", name, "--for", client]);
            let told = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!told.contains("s3cret"), "{client}: {told}");
        }
    }
    // What is printed is what a shell reads: there the key comes from its file.
    let lines = home.ok(&["connect", "shut"]).stdout;
    let script = format!("{lines}\nprintf %s \"$OPENAI_API_KEY\"");
    let shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), "s3cret-in-file");
}

#[test]
fn a_program_is_given_what_it_needs_and_its_exit_code_is_ours() {
    let home = TestHome::new();
    home.simulated("a", &["--api-key", "s3cret"], "");
    let script = "echo \"$OPENAI_BASE_URL $OPENAI_API_KEY $ANTHROPIC_BASE_URL $LLAMA_ORCH_INSTANCE\"; exit 9";
    let ran = home.run(&["connect", "a", "--up", "--", "sh", "-c", script]);
    let url = home.row("a")["url"].as_str().unwrap().to_owned();
    assert_eq!(
        ran.stdout,
        format!("{url}/v1 s3cret {url} a\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.code, 9);
    // It runs already, so that nothing is started.
    assert_eq!(home.ok(&["connect", "a", "--up", "--", "true"]).stderr, "");
    let ran = home.run(&["connect", "a", "--", "/nonexistent/agent"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
}
