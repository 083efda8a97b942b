-- Reference tables of a video platform, SQLite: the same as schema.postgresql.sql.
--
-- SQLite keeps what it is given; the declared type tells what a value means. TIMESTAMPTZ and TIMESTAMP are
-- text in UTC with six digits, 2018-01-09 14:56:13.000000, so that text order is time order; DATE is 2018-01-09;
-- BOOLEAN is 0 or 1; JSON and UUID are text.

CREATE TABLE asset_categories (
    id INTEGER NOT NULL,
    name VARCHAR(100) NOT NULL,
    description TEXT,
    PRIMARY KEY (id)
);

CREATE TABLE asset_types (
    id INTEGER NOT NULL,
    name VARCHAR(200) NOT NULL,
    active BOOLEAN NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE assets_items (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    item_type VARCHAR(30) NOT NULL,
    title TEXT,
    position INTEGER NOT NULL,
    offset_seconds DOUBLE PRECISION,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE assets_metadata (
    asset_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    language VARCHAR(10) NOT NULL,
    value TEXT,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (asset_id, name, language)
);

CREATE TABLE assets_platforms (
    asset_id BIGINT NOT NULL,
    platform_id INTEGER NOT NULL,
    published BOOLEAN NOT NULL,
    live_published BOOLEAN NOT NULL,
    publish_start TIMESTAMPTZ,
    publish_end TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (asset_id, platform_id)
);

CREATE TABLE assets_relations (
    asset_id BIGINT NOT NULL,
    related_asset_id BIGINT NOT NULL,
    relation_type VARCHAR(30) NOT NULL,
    weight DOUBLE PRECISION,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (asset_id, related_asset_id, relation_type)
);

CREATE TABLE assets_views (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    category_id INTEGER,
    user_id BIGINT NOT NULL,
    platform VARCHAR(30),
    ip VARCHAR(45),
    geo_country VARCHAR(2),
    geo_isp VARCHAR(200),
    session_id UUID NOT NULL,
    seconds_watched INTEGER,
    registered TIMESTAMP NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE assets (
    id BIGINT NOT NULL,
    asset_type_id INTEGER NOT NULL,
    asset_category_id INTEGER,
    title TEXT,
    description TEXT,
    duration_seconds DOUBLE PRECISION,
    production_year INTEGER,
    rating DECIMAL(12,4),
    live BOOLEAN NOT NULL,
    downloadable BOOLEAN NOT NULL,
    license_start TIMESTAMPTZ,
    license_end TIMESTAMPTZ,
    expire TIMESTAMPTZ,
    properties JSON,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE audits (
    id BIGINT NOT NULL,
    actor_id BIGINT,
    action VARCHAR(30) NOT NULL,
    entity VARCHAR(60) NOT NULL,
    entity_id VARCHAR(60) NOT NULL,
    details JSON,
    created TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE categories_metadata (
    category_id INTEGER NOT NULL,
    name VARCHAR(100) NOT NULL,
    language VARCHAR(10) NOT NULL,
    value TEXT,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (category_id, name, language)
);

CREATE TABLE categories_platforms (
    category_id INTEGER NOT NULL,
    platform_id INTEGER NOT NULL,
    published BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (category_id, platform_id)
);

CREATE TABLE categories (
    id INTEGER NOT NULL,
    parent_id INTEGER,
    level_type VARCHAR(30) NOT NULL,
    asset_type_id INTEGER,
    title TEXT,
    description TEXT,
    sort_order INTEGER NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE churn_predict (
    user_id BIGINT NOT NULL,
    predicted_on DATE NOT NULL,
    score NUMERIC NOT NULL,
    risk_class VARCHAR(20) NOT NULL,
    PRIMARY KEY (user_id)
);

CREATE TABLE churn_training (
    user_id BIGINT NOT NULL,
    days_subscribed INTEGER NOT NULL,
    logins INTEGER NOT NULL,
    days_since_activity INTEGER,
    price_per_day DOUBLE PRECISION,
    churned BOOLEAN NOT NULL,
    PRIMARY KEY (user_id)
);

CREATE TABLE payment_providers (
    id INTEGER NOT NULL,
    name VARCHAR(100) NOT NULL,
    merchant_id VARCHAR(100),
    merchant_secret VARCHAR(200),
    active BOOLEAN NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_status_log (
    id BIGINT NOT NULL,
    payment_transaction_id BIGINT NOT NULL,
    status VARCHAR(30) NOT NULL,
    message TEXT,
    logged TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_transaction_cuts (
    id INTEGER NOT NULL,
    product_provider_id INTEGER NOT NULL,
    payment_type_id INTEGER NOT NULL,
    cut DECIMAL(12,4) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_transaction_types (
    id INTEGER NOT NULL,
    name VARCHAR(60) NOT NULL,
    sign INTEGER NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_transactions (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_access_id BIGINT NOT NULL,
    payment_provider_id INTEGER NOT NULL,
    payment_type_id INTEGER NOT NULL,
    payment_transaction_type_id INTEGER NOT NULL,
    amount DECIMAL(12,4) NOT NULL,
    vat DECIMAL(12,4),
    currency VARCHAR(3) NOT NULL,
    receipt UUID NOT NULL,
    card_token VARCHAR(100),
    registered TIMESTAMP NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE payment_types (
    id INTEGER NOT NULL,
    name VARCHAR(60) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE platforms (
    id INTEGER NOT NULL,
    name VARCHAR(30) NOT NULL,
    title VARCHAR(100),
    active BOOLEAN NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE product_group_access (
    product_group_id INTEGER NOT NULL,
    category_id INTEGER NOT NULL,
    PRIMARY KEY (product_group_id, category_id)
);

CREATE TABLE product_groups (
    id INTEGER NOT NULL,
    name VARCHAR(200) NOT NULL,
    description TEXT,
    active BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE product_periods (
    id INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    price DECIMAL(12,4) NOT NULL,
    currency VARCHAR(3) NOT NULL,
    months INTEGER NOT NULL,
    valid_from DATE NOT NULL,
    valid_to DATE,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE product_providers (
    id INTEGER NOT NULL,
    name VARCHAR(100) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE products (
    id INTEGER NOT NULL,
    product_group_id INTEGER NOT NULL,
    product_provider_id INTEGER NOT NULL,
    name TEXT,
    description TEXT,
    active BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE publishers (
    id INTEGER NOT NULL,
    name VARCHAR(200) NOT NULL,
    country VARCHAR(2),
    PRIMARY KEY (id)
);

CREATE TABLE subtitles (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    language VARCHAR(10) NOT NULL,
    file_name VARCHAR(200) NOT NULL,
    forced BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE tags (
    id INTEGER NOT NULL,
    name VARCHAR(100) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE tenants (
    id INTEGER NOT NULL,
    name VARCHAR(100) NOT NULL,
    environment VARCHAR(30) NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE users_access_comments (
    id BIGINT NOT NULL,
    user_access_id BIGINT NOT NULL,
    author VARCHAR(100),
    comment TEXT,
    created TIMESTAMP NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE users_access_crm (
    user_access_id BIGINT NOT NULL,
    crm_reference VARCHAR(60),
    crm_status VARCHAR(30),
    payload JSON,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (user_access_id)
);

CREATE TABLE user_access (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    product_id INTEGER NOT NULL,
    STATUS_ID INTEGER NOT NULL,
    STARTDATE TIMESTAMP NOT NULL,
    ENDDATE TIMESTAMP,
    AUTORENEW_STATUS INTEGER NOT NULL,
    user_stop_date TIMESTAMP,
    last_activity_date TIMESTAMP,
    registered TIMESTAMP NOT NULL,
    updated TIMESTAMP,
    PRIMARY KEY (id)
);

CREATE TABLE users_login_logout (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    event VARCHAR(10) NOT NULL,
    ip VARCHAR(45),
    platform VARCHAR(30),
    session_token VARCHAR(100),
    log_time TIMESTAMP NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE users_metadata (
    user_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    value TEXT,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (user_id, name)
);

CREATE TABLE users_payment_methods (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    payment_provider_id INTEGER NOT NULL,
    payment_type_id INTEGER NOT NULL,
    masked_number VARCHAR(30),
    expires DATE,
    card_token VARCHAR(100),
    active BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE users_profiles (
    subprofileid BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    name TEXT,
    gender VARCHAR(20),
    birth_year INTEGER,
    pin_hash VARCHAR(100),
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (subprofileid)
);

CREATE TABLE users (
    id BIGINT NOT NULL,
    username VARCHAR(200) NOT NULL,
    email VARCHAR(200),
    first_name TEXT,
    last_name TEXT,
    date_of_birth DATE,
    country VARCHAR(2),
    status VARCHAR(20) NOT NULL,
    password_hash VARCHAR(200),
    activation_token VARCHAR(100),
    registration_date TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE video_files_deleted (
    id BIGINT NOT NULL,
    file_id BIGINT NOT NULL,
    server_id INTEGER NOT NULL,
    path TEXT,
    deleted TIMESTAMP NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE video_files_published (
    file_id BIGINT NOT NULL,
    server_id INTEGER NOT NULL,
    path TEXT,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (file_id, server_id)
);

CREATE TABLE video_files (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    format VARCHAR(20) NOT NULL,
    bitrate INTEGER,
    width INTEGER,
    height INTEGER,
    duration_seconds DOUBLE PRECISION,
    size_bytes BIGINT,
    checksum VARCHAR(64),
    content_key VARCHAR(64),
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE vouchers (
    id BIGINT NOT NULL,
    code VARCHAR(40) NOT NULL,
    product_id INTEGER NOT NULL,
    user_id BIGINT,
    valid_from DATE,
    valid_to DATE,
    created TIMESTAMP NOT NULL,
    updated TIMESTAMP,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_contracts (
    id INTEGER NOT NULL,
    provider_id INTEGER NOT NULL,
    title TEXT,
    signed_on DATE,
    amount DECIMAL(12,4),
    currency VARCHAR(3),
    terms JSON,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_episodes (
    id INTEGER NOT NULL,
    season_id INTEGER NOT NULL,
    asset_id BIGINT,
    episode_number INTEGER NOT NULL,
    title TEXT,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_licenses (
    id INTEGER NOT NULL,
    contract_id INTEGER NOT NULL,
    title_type VARCHAR(20) NOT NULL,
    title_id INTEGER NOT NULL,
    territories TEXT,
    license_start DATE,
    license_end DATE,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_movies (
    id INTEGER NOT NULL,
    asset_id BIGINT,
    title TEXT,
    runtime_minutes INTEGER,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_permissions (
    id INTEGER NOT NULL,
    license_id INTEGER NOT NULL,
    platform_id INTEGER NOT NULL,
    allowed BOOLEAN NOT NULL,
    max_views INTEGER,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_providers (
    id INTEGER NOT NULL,
    name TEXT,
    contact_email VARCHAR(200),
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_seasons (
    id INTEGER NOT NULL,
    show_id INTEGER NOT NULL,
    season_number INTEGER NOT NULL,
    title TEXT,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE acquisition_manager_shows (
    id INTEGER NOT NULL,
    category_id INTEGER,
    title TEXT,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_campaign_products (
    campaign_id INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (campaign_id, product_id)
);

CREATE TABLE vvs_campaigns (
    id INTEGER NOT NULL,
    name TEXT,
    starts TIMESTAMPTZ,
    ends TIMESTAMPTZ,
    discount_id INTEGER,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_discounts (
    id INTEGER NOT NULL,
    name TEXT,
    percentage DECIMAL(12,4),
    amount DECIMAL(12,4),
    currency VARCHAR(3),
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_pools (
    id INTEGER NOT NULL,
    campaign_id INTEGER NOT NULL,
    name TEXT,
    size INTEGER NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_products (
    id INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    external_reference VARCHAR(60),
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_voucher_redemptions (
    id BIGINT NOT NULL,
    voucher_id UUID NOT NULL,
    user_id BIGINT NOT NULL,
    user_access_id BIGINT,
    redeemed TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE vvs_vouchers (
    id UUID NOT NULL,
    pool_id INTEGER NOT NULL,
    code VARCHAR(40) NOT NULL,
    max_redemptions INTEGER NOT NULL,
    expires TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ,
    PRIMARY KEY (id)
);

-- A delta reads by these.
CREATE INDEX assets_items_created ON assets_items (created);
CREATE INDEX assets_items_updated ON assets_items (updated);
CREATE INDEX assets_metadata_created ON assets_metadata (created);
CREATE INDEX assets_metadata_updated ON assets_metadata (updated);
CREATE INDEX assets_platforms_created ON assets_platforms (created);
CREATE INDEX assets_platforms_updated ON assets_platforms (updated);
CREATE INDEX assets_relations_created ON assets_relations (created);
CREATE INDEX assets_relations_updated ON assets_relations (updated);
CREATE INDEX assets_views_registered ON assets_views (registered);
CREATE INDEX assets_created ON assets (created);
CREATE INDEX assets_updated ON assets (updated);
CREATE INDEX audits_created ON audits (created);
CREATE INDEX categories_metadata_created ON categories_metadata (created);
CREATE INDEX categories_metadata_updated ON categories_metadata (updated);
CREATE INDEX categories_platforms_created ON categories_platforms (created);
CREATE INDEX categories_platforms_updated ON categories_platforms (updated);
CREATE INDEX categories_created ON categories (created);
CREATE INDEX categories_updated ON categories (updated);
CREATE INDEX payment_status_log_logged ON payment_status_log (logged);
CREATE INDEX payment_transactions_registered ON payment_transactions (registered);
CREATE INDEX product_groups_created ON product_groups (created);
CREATE INDEX product_groups_updated ON product_groups (updated);
CREATE INDEX product_periods_created ON product_periods (created);
CREATE INDEX product_periods_updated ON product_periods (updated);
CREATE INDEX products_created ON products (created);
CREATE INDEX products_updated ON products (updated);
CREATE INDEX subtitles_created ON subtitles (created);
CREATE INDEX subtitles_updated ON subtitles (updated);
CREATE INDEX users_access_comments_created ON users_access_comments (created);
CREATE INDEX users_access_crm_created ON users_access_crm (created);
CREATE INDEX users_access_crm_updated ON users_access_crm (updated);
CREATE INDEX user_access_registered ON user_access (registered);
CREATE INDEX user_access_updated ON user_access (updated);
CREATE INDEX users_login_logout_log_time ON users_login_logout (log_time);
CREATE INDEX users_metadata_created ON users_metadata (created);
CREATE INDEX users_metadata_updated ON users_metadata (updated);
CREATE INDEX users_payment_methods_created ON users_payment_methods (created);
CREATE INDEX users_payment_methods_updated ON users_payment_methods (updated);
CREATE INDEX users_profiles_created ON users_profiles (created);
CREATE INDEX users_profiles_updated ON users_profiles (updated);
CREATE INDEX users_registration_date ON users (registration_date);
CREATE INDEX users_updated ON users (updated);
CREATE INDEX video_files_deleted_deleted ON video_files_deleted (deleted);
CREATE INDEX video_files_published_created ON video_files_published (created);
CREATE INDEX video_files_published_updated ON video_files_published (updated);
CREATE INDEX video_files_created ON video_files (created);
CREATE INDEX video_files_updated ON video_files (updated);
CREATE INDEX vouchers_created ON vouchers (created);
CREATE INDEX vouchers_updated ON vouchers (updated);
CREATE INDEX acquisition_manager_contracts_created ON acquisition_manager_contracts (created);
CREATE INDEX acquisition_manager_contracts_updated ON acquisition_manager_contracts (updated);
CREATE INDEX acquisition_manager_episodes_created ON acquisition_manager_episodes (created);
CREATE INDEX acquisition_manager_episodes_updated ON acquisition_manager_episodes (updated);
CREATE INDEX acquisition_manager_licenses_created ON acquisition_manager_licenses (created);
CREATE INDEX acquisition_manager_licenses_updated ON acquisition_manager_licenses (updated);
CREATE INDEX acquisition_manager_movies_created ON acquisition_manager_movies (created);
CREATE INDEX acquisition_manager_movies_updated ON acquisition_manager_movies (updated);
CREATE INDEX acquisition_manager_permissions_created ON acquisition_manager_permissions (created);
CREATE INDEX acquisition_manager_permissions_updated ON acquisition_manager_permissions (updated);
CREATE INDEX acquisition_manager_providers_created ON acquisition_manager_providers (created);
CREATE INDEX acquisition_manager_providers_updated ON acquisition_manager_providers (updated);
CREATE INDEX acquisition_manager_seasons_created ON acquisition_manager_seasons (created);
CREATE INDEX acquisition_manager_seasons_updated ON acquisition_manager_seasons (updated);
CREATE INDEX acquisition_manager_shows_created ON acquisition_manager_shows (created);
CREATE INDEX acquisition_manager_shows_updated ON acquisition_manager_shows (updated);
CREATE INDEX vvs_campaign_products_created ON vvs_campaign_products (created);
CREATE INDEX vvs_campaign_products_updated ON vvs_campaign_products (updated);
CREATE INDEX vvs_campaigns_created ON vvs_campaigns (created);
CREATE INDEX vvs_campaigns_updated ON vvs_campaigns (updated);
CREATE INDEX vvs_discounts_created ON vvs_discounts (created);
CREATE INDEX vvs_discounts_updated ON vvs_discounts (updated);
CREATE INDEX vvs_pools_created ON vvs_pools (created);
CREATE INDEX vvs_pools_updated ON vvs_pools (updated);
CREATE INDEX vvs_products_created ON vvs_products (created);
CREATE INDEX vvs_products_updated ON vvs_products (updated);
CREATE INDEX vvs_voucher_redemptions_redeemed ON vvs_voucher_redemptions (redeemed);
CREATE INDEX vvs_vouchers_created ON vvs_vouchers (created);
CREATE INDEX vvs_vouchers_updated ON vvs_vouchers (updated);
