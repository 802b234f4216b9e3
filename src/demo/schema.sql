-- Arc's own schema, statement by statement as it stands in a database that Arc made, in the same order.
CREATE TABLE api_tokens (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			name TEXT NOT NULL UNIQUE,
			token_hash TEXT NOT NULL,
			description TEXT,
			permissions TEXT DEFAULT 'read,write',
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			last_used_at TIMESTAMP,
			expires_at TIMESTAMP,
			enabled INTEGER DEFAULT 1
		, token_prefix TEXT);
CREATE INDEX idx_api_tokens_enabled ON api_tokens(enabled);
CREATE INDEX idx_api_tokens_prefix ON api_tokens(token_prefix);
CREATE TABLE rbac_organizations (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			name TEXT NOT NULL UNIQUE,
			description TEXT,
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			enabled INTEGER DEFAULT 1
		);
CREATE TABLE rbac_teams (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			organization_id INTEGER NOT NULL,
			name TEXT NOT NULL,
			description TEXT,
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			enabled INTEGER DEFAULT 1,
			FOREIGN KEY (organization_id) REFERENCES rbac_organizations(id) ON DELETE CASCADE,
			UNIQUE(organization_id, name)
		);
CREATE TABLE rbac_roles (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			team_id INTEGER NOT NULL,
			database_pattern TEXT NOT NULL,
			permissions TEXT NOT NULL,
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			FOREIGN KEY (team_id) REFERENCES rbac_teams(id) ON DELETE CASCADE
		);
CREATE TABLE rbac_measurement_permissions (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			role_id INTEGER NOT NULL,
			measurement_pattern TEXT NOT NULL,
			permissions TEXT NOT NULL,
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			FOREIGN KEY (role_id) REFERENCES rbac_roles(id) ON DELETE CASCADE
		);
CREATE TABLE rbac_token_memberships (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			token_id INTEGER NOT NULL,
			team_id INTEGER NOT NULL,
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			FOREIGN KEY (token_id) REFERENCES api_tokens(id) ON DELETE CASCADE,
			FOREIGN KEY (team_id) REFERENCES rbac_teams(id) ON DELETE CASCADE,
			UNIQUE(token_id, team_id)
		);
CREATE INDEX idx_rbac_teams_org ON rbac_teams(organization_id);
CREATE INDEX idx_rbac_roles_team ON rbac_roles(team_id);
CREATE INDEX idx_rbac_measurement_perms_role ON rbac_measurement_permissions(role_id);
CREATE INDEX idx_rbac_token_memberships_token ON rbac_token_memberships(token_id);
CREATE INDEX idx_rbac_token_memberships_team ON rbac_token_memberships(team_id);
CREATE TABLE retention_policies (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			name TEXT UNIQUE NOT NULL,
			database TEXT NOT NULL,
			measurement TEXT,
			retention_days INTEGER NOT NULL,
			buffer_days INTEGER DEFAULT 7,
			is_active BOOLEAN DEFAULT TRUE,
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
		);
CREATE TABLE retention_executions (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			policy_id INTEGER NOT NULL,
			execution_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			status TEXT NOT NULL,
			deleted_count INTEGER DEFAULT 0,
			cutoff_date TIMESTAMP,
			execution_duration_ms FLOAT,
			error_message TEXT,
			FOREIGN KEY (policy_id) REFERENCES retention_policies (id)
		);
CREATE TABLE continuous_queries (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			name TEXT UNIQUE NOT NULL,
			description TEXT,
			database TEXT NOT NULL,
			source_measurement TEXT NOT NULL,
			destination_measurement TEXT NOT NULL,
			query TEXT NOT NULL,
			interval TEXT NOT NULL,
			tag_columns TEXT,
			retention_days INTEGER,
			delete_source_after_days INTEGER,
			is_active BOOLEAN DEFAULT TRUE,
			last_processed_time TIMESTAMP,
			created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
		);
CREATE TABLE continuous_query_executions (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			query_id INTEGER NOT NULL,
			execution_id TEXT NOT NULL,
			execution_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
			status TEXT NOT NULL,
			start_time TIMESTAMP NOT NULL,
			end_time TIMESTAMP NOT NULL,
			records_read INTEGER,
			records_written INTEGER DEFAULT 0,
			execution_duration_seconds FLOAT,
			error_message TEXT,
			FOREIGN KEY (query_id) REFERENCES continuous_queries (id)
		);
