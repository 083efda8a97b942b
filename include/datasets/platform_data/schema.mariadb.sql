-- Reference tables of a video platform, MariaDB 10.7 or later: the same as schema.postgresql.sql.
--
-- TIMESTAMP is an instant, shown in the session's time zone; DATETIME has no zone and holds UTC (VI-C13).
-- Each TIMESTAMP names its default: without one, older servers change the first of a table at every update.

CREATE TABLE asset_categories (
    id INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    description TEXT,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE asset_types (
    id INT NOT NULL,
    name VARCHAR(200) NOT NULL,
    active BOOLEAN NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE assets_items (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    item_type VARCHAR(30) NOT NULL,
    title TEXT,
    position INT NOT NULL,
    offset_seconds DOUBLE,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE assets_metadata (
    asset_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    language VARCHAR(10) NOT NULL,
    value TEXT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (asset_id, name, language)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE assets_platforms (
    asset_id BIGINT NOT NULL,
    platform_id INT NOT NULL,
    published BOOLEAN NOT NULL,
    live_published BOOLEAN NOT NULL,
    publish_start TIMESTAMP(6) NULL DEFAULT NULL,
    publish_end TIMESTAMP(6) NULL DEFAULT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (asset_id, platform_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE assets_relations (
    asset_id BIGINT NOT NULL,
    related_asset_id BIGINT NOT NULL,
    relation_type VARCHAR(30) NOT NULL,
    weight DOUBLE,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (asset_id, related_asset_id, relation_type)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE assets_views (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    category_id INT,
    user_id BIGINT NOT NULL,
    platform VARCHAR(30),
    ip VARCHAR(45),
    geo_country VARCHAR(2),
    geo_isp VARCHAR(200),
    session_id UUID NOT NULL,
    seconds_watched INT,
    registered DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE assets (
    id BIGINT NOT NULL,
    asset_type_id INT NOT NULL,
    asset_category_id INT,
    title TEXT,
    description TEXT,
    duration_seconds DOUBLE,
    production_year INT,
    rating DECIMAL(12,4),
    live BOOLEAN NOT NULL,
    downloadable BOOLEAN NOT NULL,
    license_start TIMESTAMP(6) NULL DEFAULT NULL,
    license_end TIMESTAMP(6) NULL DEFAULT NULL,
    expire TIMESTAMP(6) NULL DEFAULT NULL,
    properties JSON,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE audits (
    id BIGINT NOT NULL,
    actor_id BIGINT,
    action VARCHAR(30) NOT NULL,
    entity VARCHAR(60) NOT NULL,
    entity_id VARCHAR(60) NOT NULL,
    details JSON,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE categories_metadata (
    category_id INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    language VARCHAR(10) NOT NULL,
    value TEXT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (category_id, name, language)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE categories_platforms (
    category_id INT NOT NULL,
    platform_id INT NOT NULL,
    published BOOLEAN NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (category_id, platform_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE categories (
    id INT NOT NULL,
    parent_id INT,
    level_type VARCHAR(30) NOT NULL,
    asset_type_id INT,
    title TEXT,
    description TEXT,
    sort_order INT NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE churn_predict (
    user_id BIGINT NOT NULL,
    predicted_on DATE NOT NULL,
    score DECIMAL(20,10) NOT NULL,
    risk_class VARCHAR(20) NOT NULL,
    PRIMARY KEY (user_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE churn_training (
    user_id BIGINT NOT NULL,
    days_subscribed INT NOT NULL,
    logins INT NOT NULL,
    days_since_activity INT,
    price_per_day DOUBLE,
    churned BOOLEAN NOT NULL,
    PRIMARY KEY (user_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE payment_providers (
    id INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    merchant_id VARCHAR(100),
    merchant_secret VARCHAR(200),
    active BOOLEAN NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE payment_status_log (
    id BIGINT NOT NULL,
    payment_transaction_id BIGINT NOT NULL,
    status VARCHAR(30) NOT NULL,
    message TEXT,
    logged TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE payment_transaction_cuts (
    id INT NOT NULL,
    product_provider_id INT NOT NULL,
    payment_type_id INT NOT NULL,
    cut DECIMAL(12,4) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE payment_transaction_types (
    id INT NOT NULL,
    name VARCHAR(60) NOT NULL,
    sign INT NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE payment_transactions (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_access_id BIGINT NOT NULL,
    payment_provider_id INT NOT NULL,
    payment_type_id INT NOT NULL,
    payment_transaction_type_id INT NOT NULL,
    amount DECIMAL(12,4) NOT NULL,
    vat DECIMAL(12,4),
    currency VARCHAR(3) NOT NULL,
    receipt UUID NOT NULL,
    card_token VARCHAR(100),
    registered DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE payment_types (
    id INT NOT NULL,
    name VARCHAR(60) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE platforms (
    id INT NOT NULL,
    name VARCHAR(30) NOT NULL,
    title VARCHAR(100),
    active BOOLEAN NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE product_group_access (
    product_group_id INT NOT NULL,
    category_id INT NOT NULL,
    PRIMARY KEY (product_group_id, category_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE product_groups (
    id INT NOT NULL,
    name VARCHAR(200) NOT NULL,
    description TEXT,
    active BOOLEAN NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE product_periods (
    id INT NOT NULL,
    product_id INT NOT NULL,
    price DECIMAL(12,4) NOT NULL,
    currency VARCHAR(3) NOT NULL,
    months INT NOT NULL,
    valid_from DATE NOT NULL,
    valid_to DATE,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE product_providers (
    id INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE products (
    id INT NOT NULL,
    product_group_id INT NOT NULL,
    product_provider_id INT NOT NULL,
    name TEXT,
    description TEXT,
    active BOOLEAN NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE publishers (
    id INT NOT NULL,
    name VARCHAR(200) NOT NULL,
    country VARCHAR(2),
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE subtitles (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    language VARCHAR(10) NOT NULL,
    file_name VARCHAR(200) NOT NULL,
    forced BOOLEAN NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tags (
    id INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tenants (
    id INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    environment VARCHAR(30) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE users_access_comments (
    id BIGINT NOT NULL,
    user_access_id BIGINT NOT NULL,
    author VARCHAR(100),
    comment TEXT,
    created DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE users_access_crm (
    user_access_id BIGINT NOT NULL,
    crm_reference VARCHAR(60),
    crm_status VARCHAR(30),
    payload JSON,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (user_access_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE user_access (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    product_id INT NOT NULL,
    STATUS_ID INT NOT NULL,
    STARTDATE DATETIME(6) NOT NULL,
    ENDDATE DATETIME(6),
    AUTORENEW_STATUS INT NOT NULL,
    user_stop_date DATETIME(6),
    last_activity_date DATETIME(6),
    registered DATETIME(6) NOT NULL,
    updated DATETIME(6),
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE users_login_logout (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    event VARCHAR(10) NOT NULL,
    ip VARCHAR(45),
    platform VARCHAR(30),
    session_token VARCHAR(100),
    log_time DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE users_metadata (
    user_id BIGINT NOT NULL,
    name VARCHAR(100) NOT NULL,
    value TEXT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (user_id, name)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE users_payment_methods (
    id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    payment_provider_id INT NOT NULL,
    payment_type_id INT NOT NULL,
    masked_number VARCHAR(30),
    expires DATE,
    card_token VARCHAR(100),
    active BOOLEAN NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE users_profiles (
    subprofileid BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    name TEXT,
    gender VARCHAR(20),
    birth_year INT,
    pin_hash VARCHAR(100),
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (subprofileid)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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
    registration_date TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE video_files_deleted (
    id BIGINT NOT NULL,
    file_id BIGINT NOT NULL,
    server_id INT NOT NULL,
    path TEXT,
    deleted DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE video_files_published (
    file_id BIGINT NOT NULL,
    server_id INT NOT NULL,
    path TEXT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (file_id, server_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE video_files (
    id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    format VARCHAR(20) NOT NULL,
    bitrate INT,
    width INT,
    height INT,
    duration_seconds DOUBLE,
    size_bytes BIGINT,
    checksum VARCHAR(64),
    content_key VARCHAR(64),
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vouchers (
    id BIGINT NOT NULL,
    code VARCHAR(40) NOT NULL,
    product_id INT NOT NULL,
    user_id BIGINT,
    valid_from DATE,
    valid_to DATE,
    created DATETIME(6) NOT NULL,
    updated DATETIME(6),
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_contracts (
    id INT NOT NULL,
    provider_id INT NOT NULL,
    title TEXT,
    signed_on DATE,
    amount DECIMAL(12,4),
    currency VARCHAR(3),
    terms JSON,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_episodes (
    id INT NOT NULL,
    season_id INT NOT NULL,
    asset_id BIGINT,
    episode_number INT NOT NULL,
    title TEXT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_licenses (
    id INT NOT NULL,
    contract_id INT NOT NULL,
    title_type VARCHAR(20) NOT NULL,
    title_id INT NOT NULL,
    territories TEXT,
    license_start DATE,
    license_end DATE,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_movies (
    id INT NOT NULL,
    asset_id BIGINT,
    title TEXT,
    runtime_minutes INT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_permissions (
    id INT NOT NULL,
    license_id INT NOT NULL,
    platform_id INT NOT NULL,
    allowed BOOLEAN NOT NULL,
    max_views INT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_providers (
    id INT NOT NULL,
    name TEXT,
    contact_email VARCHAR(200),
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_seasons (
    id INT NOT NULL,
    show_id INT NOT NULL,
    season_number INT NOT NULL,
    title TEXT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE acquisition_manager_shows (
    id INT NOT NULL,
    category_id INT,
    title TEXT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vvs_campaign_products (
    campaign_id INT NOT NULL,
    product_id INT NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (campaign_id, product_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vvs_campaigns (
    id INT NOT NULL,
    name TEXT,
    starts TIMESTAMP(6) NULL DEFAULT NULL,
    ends TIMESTAMP(6) NULL DEFAULT NULL,
    discount_id INT,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vvs_discounts (
    id INT NOT NULL,
    name TEXT,
    percentage DECIMAL(12,4),
    amount DECIMAL(12,4),
    currency VARCHAR(3),
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vvs_pools (
    id INT NOT NULL,
    campaign_id INT NOT NULL,
    name TEXT,
    size INT NOT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vvs_products (
    id INT NOT NULL,
    product_id INT NOT NULL,
    external_reference VARCHAR(60),
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vvs_voucher_redemptions (
    id BIGINT NOT NULL,
    voucher_id UUID NOT NULL,
    user_id BIGINT NOT NULL,
    user_access_id BIGINT,
    redeemed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE vvs_vouchers (
    id UUID NOT NULL,
    pool_id INT NOT NULL,
    code VARCHAR(40) NOT NULL,
    max_redemptions INT NOT NULL,
    expires TIMESTAMP(6) NULL DEFAULT NULL,
    created TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    updated TIMESTAMP(6) NULL DEFAULT NULL,
    PRIMARY KEY (id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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
