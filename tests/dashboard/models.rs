//! An instance made in the dashboard of a model that another program fetched.

use std::fs;

use crate::support::TestHome;
use crate::support::gguf::write_tiny;
use crate::support::terminal::Terminal;

#[test]
fn a_model_of_another_program_becomes_an_instance_in_a_few_keys() {
    let home = TestHome::new();
    let user = home.path().join("user");
    let folder = user.join(".lmstudio/models/someone/Talker-GGUF");
    fs::create_dir_all(&folder).unwrap();
    write_tiny(&folder.join("Talker-1B-Q4_K_M.gguf"));
    let mut terminal = Terminal::dashboard(&home, &[("HOME", user.to_str().unwrap())]);
    terminal.wait_text("No instances yet.");
    terminal.write("M");
    terminal.wait_text("Talker-1B-Q4_K_M");
    terminal.write("talker\r");
    terminal.wait_text("name of its instance: talker-1b-q4_k_m");
    terminal.write("\r");
    terminal.wait("its row", |terminal| {
        let text = terminal.text();
        text.lines()
            .any(|line| line.contains("talker-1b-q4_k_m") && line.contains("○ stopped"))
    });
    let file = home.path().join("instances/talker-1b-q4_k_m/config.toml");
    let table: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let path = table["model"]["path"].as_str().unwrap();
    assert!(
        path.ends_with("Talker-GGUF/Talker-1B-Q4_K_M.gguf"),
        "{path}"
    );
    assert_eq!(table["model"]["context_size"].as_integer(), Some(2048));
}
