module gitlab-copilot-agent/cluster/pause

go 1.24.0
